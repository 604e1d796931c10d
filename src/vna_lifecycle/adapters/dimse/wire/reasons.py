"""What rejections and aborts mean, in words, and the errors that they become (PS3.8 9.3.3.2, 9.3.4, 9.3.8)."""

from __future__ import annotations

from typing import Final

from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable

CONTEXT_RESULTS: Final[dict[int, str]] = {
    0: "accepted",
    1: "rejected by the user",
    2: "rejected without a reason",
    3: "the SOP class is not supported",
    4: "none of the transfer syntaxes is supported",
}

_CALLING_HINT: Final = "Have the archive's administrator enter this program's calling AE title, host and port."
_CALLED_HINT: Final = "Correct the archive's AE title in the settings: it is compared letter by letter."
_LATER_HINT: Final = "Lower the number of associations, or try again later."
_ASK_HINT: Final = "Ask the archive's administrator; its log should say why."

_REJECTIONS: Final[dict[tuple[int, int], tuple[str, str]]] = {
    (1, 1): ("no reason was given", _ASK_HINT),
    (1, 2): ("it does not know DICOM's application context", "See that host and port are those of a DICOM archive."),
    (1, 3): ("it does not recognise our calling AE title", _CALLING_HINT),
    (1, 7): ("it does not recognise the called AE title", _CALLED_HINT),
    (2, 1): ("no reason was given", _ASK_HINT),
    (2, 2): ("it does not support our protocol version", "See that host and port are those of a DICOM archive."),
    (3, 1): ("it is congested for the moment", _LATER_HINT),
    (3, 2): ("it has no association left (local limit exceeded)", _LATER_HINT),
}
_ABORT_HINT: Final = (
    "If it always does so, it may not allow our AE title what was asked for (to query, to retrieve, to store). "
    "Ask its administrator; its log should say why."
)
_ABORTS: Final[dict[int, str]] = {
    0: "no reason was given",
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}


def rejection(result: int, source: int, reason: int) -> ArchiveRefused:
    """The error for an A-ASSOCIATE-RJ. Transient where the peer says so, or says that it is only busy."""
    words, hint = _REJECTIONS.get(
        (source, reason), (f"reason {reason} of source {source}, which DICOM reserves", _ASK_HINT)
    )
    transient = result == 2 or source == 3
    lasting = "for now" if transient else "permanently"
    return ArchiveRefused(f"the archive rejected the association {lasting}: {words}", transient=transient, hint=hint)


def abortion(source: int, reason: int) -> ArchiveError:
    """The error for an A-ABORT from the peer. Worth another try: most archives abort when they are in trouble."""
    who = "the archive" if source == 0 else "the archive's DICOM layer"
    words = _ABORTS.get(reason, f"reason {reason}") if source else "no reason can be given"
    return ArchiveError(f"{who} aborted the association: {words}", transient=True, hint=_ABORT_HINT)


_HANDSHAKES: Final[tuple[tuple[str, str], ...]] = (
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "it showed no certificate, which we demand"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted here (tls_ca)"),
    ("UNSUPPORTED_PROTOCOL", "it has no version of TLS that is new enough (tls_minimum)"),
    ("NO_SHARED_CIPHER", "it has no cipher in common with us"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS there"),
    ("HTTP_REQUEST", "it does not speak TLS there"),
    ("ALERT", "it does not accept our certificate (tls_certificate)"),
)
"""What OpenSSL calls the ways in which a handshake ends too soon, by a part of the name, and what they mean."""


def handshake(problem: Exception) -> str:
    """Why somebody who connected to us did not get through the TLS handshake, without what they sent."""
    reason = getattr(problem, "reason", None) or ""
    return next((words for name, words in _HANDSHAKES if name in str(reason)), "it ended in the middle")


def violation(what: str) -> ArchiveError:
    """The error for bytes that DICOM does not allow at this place."""
    return ArchiveError(
        f"the peer does not keep to the DICOM protocol: {what}",
        hint="See that host and port are those of a DICOM archive, and that both sides do or do not use TLS.",
    )


def lost(what: str) -> ArchiveError:
    """The error for a connection that ended too soon or stopped."""
    return ArchiveError(
        f"the connection to the archive was lost: {what}",
        transient=True,
        # The alert that would say so is lost where the peer hangs up before we have read it.
        hint="See the archive's log. If this happens each time, see that both sides do or do not use TLS, "
        "and whether the archive demands a certificate of ours.",
    )


def not_trusted(alert: str) -> ArchiveUnreachable:
    """The error for a TLS alert after our side of the handshake was done (RFC 8446 6.2: of our certificate)."""
    return ArchiveUnreachable(
        f"the archive ended the TLS connection: {alert}",
        hint="Set the certificate and the key that the archive demands of us, by an authority that it trusts.",
    )
