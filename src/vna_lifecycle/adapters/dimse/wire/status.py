"""What response statuses mean, in words, and the errors that failed operations become (PS3.7 Annex C, PS3.4)."""

from __future__ import annotations

from typing import Final

from vna_lifecycle.errors import ArchiveError

OUT_OF_RESOURCES: Final = 0xA700
CANNOT_UNDERSTAND: Final = 0xC000
PROCESSING_FAILURE: Final = 0x0110
NO_SUCH_INSTANCE: Final = 0x0112
UNRECOGNIZED_OPERATION: Final = 0x0211
NOT_AUTHORIZED: Final = 0x0124

COERCED: Final = 0xB000
DISCARDED: Final = 0xB006
MISMATCHED: Final = 0xB007

_WORDS: Final[dict[int, str]] = {
    0x0000: "success",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such SOP instance",
    0x0113: "no such event type",
    0x0114: "no such argument",
    0x0115: "invalid argument value",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class and instance conflict",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
    0x0123: "no such action type",
    0x0124: "not authorized",
    0x0131: "duplicate transaction UID",
    0x0210: "duplicate invocation",
    0x0211: "unrecognized operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xA701: "out of resources: cannot count the matches",
    0xA702: "out of resources: cannot perform the sub-operations",
    0xA801: "the move destination is unknown",
    0xAA00: "none of the frames requested were found",
    0xB000: "warning: data elements were coerced, or some sub-operations failed",
    0xB006: "warning: data elements were discarded",
    0xB007: "warning: the data set does not match the SOP class",
    0xFE00: "cancelled",
    0xFF00: "pending",
    0xFF01: "pending; some optional keys are not supported",
}
_CLASSES: Final[dict[int, str]] = {
    0xA700: "out of resources",
    0xA800: "SOP class not supported",
    0xA900: "the identifier or data set does not match the SOP class",
    0xC000: "unable to process",
    0xB000: "warning",
}
_BUSY: Final = frozenset({0x0210, 0x0213, 0xA701, 0xA702})


def words(status: int) -> str:
    """The meaning of a status, such as ``A700 (out of resources)``."""
    meaning = _WORDS.get(status) or _CLASSES.get(status & 0xFF00) or _CLASSES.get(status & 0xF000) or "of no known kind"
    return f"{status:04X} ({meaning})"


def is_warning(status: int) -> bool:
    """Whether the operation was done, but not quite as asked (PS3.7 C.1)."""
    return status & 0xF000 == 0xB000 or status in (0x0001, 0x0107, 0x0116)


def is_transient(status: int) -> bool:
    """Whether the peer was only short of something, so that the same request may succeed later."""
    return status & 0xFF00 == 0xA700 or status in _BUSY


def failed(operation: str, status: int) -> ArchiveError:
    """The error for an operation that the peer ended with a failure. Its comment may hold patient data: left out."""
    hint = ""
    if status == 0xA801:
        hint = "Have the archive's administrator enter this program's receiver: its AE title, host and port."
    return ArchiveError(
        f"the archive ended {operation} with status {words(status)}", transient=is_transient(status), hint=hint
    )
