"""TLS contexts for both directions (PS3.15 Annex B: BCP 195)."""

from __future__ import annotations

import ssl

from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.adapters.tls import tls_context


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
    return tls_context(
        purpose,
        ca=settings.tls_ca,
        certificate=settings.tls_certificate,
        key=settings.tls_key,
        minimum=settings.tls_minimum,
    )
