"""TLS contexts for both directions (PS3.15 Annex B: BCP 195)."""

from __future__ import annotations

import ssl

from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.errors import ConfigurationError


def calling_context(settings: DimseSettings) -> ssl.SSLContext | None:
    """For associations that we request; None without TLS.

    Raises:
        ConfigurationError: a certificate or key cannot be used.
    """
    if not settings.tls:
        return None
    context = _context(settings, ssl.Purpose.SERVER_AUTH)
    context.check_hostname = settings.tls_check_host
    return context


def listening_context(settings: DimseSettings) -> ssl.SSLContext | None:
    """For associations that are requested of us: who sends must show a certificate. None without TLS.

    Raises:
        ConfigurationError: a certificate or key cannot be used.
    """
    if not settings.tls:
        return None
    context = _context(settings, ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _context(settings: DimseSettings, purpose: ssl.Purpose) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(purpose, cafile=settings.tls_ca)
    except (OSError, ssl.SSLError) as problem:
        raise _unusable("tls_ca", problem) from problem
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if settings.tls_minimum == "1.3" else ssl.TLSVersion.TLSv1_2
    if settings.tls_certificate is not None:
        try:
            # An empty pass phrase: a key that has one is refused, instead of being asked for at a terminal.
            context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
        except (OSError, ssl.SSLError, ValueError) as problem:
            raise _unusable("tls_certificate", problem) from problem
    return context


def _unusable(setting: str, problem: Exception) -> ConfigurationError:
    why = getattr(problem, "strerror", None) or getattr(problem, "reason", None) or "it cannot be read"
    message = f"not usable: {str(why).lower().replace('_', ' ')}"
    return ConfigurationError(f"{setting} is {message}", problems=((setting, message),))
