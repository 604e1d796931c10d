"""What HTTP's answers and failures mean for a program: try again, or not, and what a person can do (RFC 9110)."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable

PASSING: Final = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses that say that the archive as a whole is busy or away for now."""

_LONGEST_REST: Final = 3_600.0


class BrokenAnswer(ArchiveError):
    """An answer began and did not come to its end, or did not begin although the question was taken."""


class TooBroad(ArchiveRefused):
    """What was asked for is too much for the archive to answer, or for us to take; less may be answered."""


def broken(archive: str, doing: str, how: str) -> BrokenAnswer:
    """The error of an answer that is not whole; asked again, it may be."""
    hint = "check the network and the archive"
    return BrokenAnswer(f"{archive}: {how} during {doing}", archive=archive, transient=True, hint=hint)


def status_error(archive: str, status: int, headers: Mapping[str, str], now: dt.datetime, doing: str) -> ArchiveError:
    """The error of an archive that answered with ``status`` to ``doing`` (such as "a search")."""
    message = f"{archive}: answered {doing} with HTTP status {status}"
    if status in PASSING:
        hint = "it is busy or away for now; the program will ask again"
        wait = retry_after(headers.get("Retry-After", ""), now)
        return ArchiveError(message, archive=archive, transient=True, retry_after=wait, hint=hint)
    if status == 401:
        hint = "renew the token, or correct user and password; then resume: nothing is lost"
        return ArchiveRefused(f"{archive}: does not accept our credentials, or no longer", archive=archive, hint=hint)
    if status == 403:
        hint = "ask its operator for the permission; then resume"
        return ArchiveRefused(f"{archive}: does not allow {doing}", archive=archive, hint=hint)
    if status >= 500:
        return ArchiveError(message, archive=archive, transient=True, hint="look at the archive's own log")
    hint = "check the URL and the prefixes: is there a DICOMweb service of this kind?"
    return ArchiveRefused(message, archive=archive, hint=hint)


def redirect_error(archive: str, doing: str) -> ArchiveRefused:
    """The error of an archive that sent us somewhere else."""
    message = f"{archive}: answered {doing} by sending us to another place, which was not followed"
    return ArchiveRefused(message, archive=archive, hint="if that place is right, make it the archive's URL")


def page_error(archive: str, doing: str) -> ArchiveRefused:
    """The error of an archive, or of what stands before it, that answered with a web page and called it a success."""
    message = f"{archive}: answered {doing} with a web page, as for a person who is to log in"
    hint = "renew the token, or correct user and password; check that the URL is the DICOMweb service's; then resume"
    return ArchiveRefused(message, archive=archive, hint=hint)


def transport_error(archive: str, error: HTTPError | OSError, doing: str) -> ArchiveError:
    """The error of an archive that could not be talked to. Its text never holds a URL: paths name studies."""
    if isinstance(error, SSLError) or isinstance(error.__cause__, ssl.SSLError):
        reason = _tls_reason(error)
        hint = "check tls_ca, tls_certificate, the host name and the archive's own certificate"
        return ArchiveRefused(f"{archive}: no TLS connection could be made: {reason}", archive=archive, hint=hint)
    if isinstance(error, NewConnectionError | ConnectTimeoutError):
        hint = "check the URL, the network and the archive"
        return ArchiveUnreachable(f"{archive}: nobody answers at its URL", archive=archive, transient=True, hint=hint)
    return broken(archive, doing, f"the connection failed ({type(error).__name__})")


def _tls_reason(error: BaseException) -> str:
    found: BaseException | None = error
    while found is not None:
        for one in (found, *found.args):
            if isinstance(one, ssl.SSLError):
                text = one.verify_message if isinstance(one, ssl.SSLCertVerificationError) else one.reason
                return str(text or "the handshake failed").lower().replace("_", " ")
        found = found.__cause__ or found.__context__
    return "the handshake failed"


def retry_after(text: str, now: dt.datetime) -> float | None:
    """Seconds until an archive wants to be asked again: a number or a date (RFC 9110 10.2.3); None where unusable.

    At most an hour: then it may say so again.
    """
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_REST)
    try:
        then = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return min(max(0.0, (then - now).total_seconds()), _LONGEST_REST) if then.tzinfo else None
