"""A TLS context from settings that name files (PS3.15 Annex B: BCP 195)."""

from __future__ import annotations

import ssl
from pathlib import Path

from vna_lifecycle.errors import ConfigurationError


def tls_context(
    purpose: ssl.Purpose, *, ca: Path | None, certificate: Path | None, key: Path | None, minimum: str
) -> ssl.SSLContext:
    """A context for one direction; ``minimum`` is "1.2" or "1.3".

    Raises:
        ConfigurationError: a file cannot be used; its setting, ``tls_ca`` or ``tls_certificate``, is named.
    """
    try:
        context = ssl.create_default_context(purpose, cafile=ca)
    except (OSError, ssl.SSLError) as problem:
        raise _unusable("tls_ca", problem) from problem
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if minimum == "1.3" else ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        try:
            # An empty pass phrase: a key that has one is refused, instead of being asked for at a terminal.
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ssl.SSLError, ValueError) as problem:
            raise _unusable("tls_certificate", problem) from problem
    return context


def _unusable(setting: str, problem: Exception) -> ConfigurationError:
    why = getattr(problem, "strerror", None) or getattr(problem, "reason", None) or "it cannot be read"
    message = f"not usable: {str(why).lower().replace('_', ' ')}"
    return ConfigurationError(f"{setting} is {message}", problems=((setting, message),))
