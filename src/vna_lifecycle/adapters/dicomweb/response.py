"""What a STOW-RS answer says of each instance (PS3.18 10.5.3, Annex I.2): the body decides, not the status."""

from __future__ import annotations

from typing import Any, Final

from attrs import frozen

from vna_lifecycle.adapters.dicomweb.answers import Answer

_FAILED, _STORED, _REASON, _WARNING, _UID = "00081198", "00081199", "00081197", "00081196", "00081155"
DUPLICATE: Final = 0x0111

_REASONS: Final = {
    # Failure Reason (0008,1197): our code, what it means, and whether it may pass
    0x0110: ("processing-failure", "the archive failed while it processed the instance", True),
    0x0111: ("duplicate", "the archive has an instance with this UID", False),
    0x0117: ("invalid-instance", "the archive says that the instance's UID is not valid", False),
    0x0119: ("class-conflict", "the archive knows the instance under another SOP class", False),
    0x0122: ("sop-class-not-supported", "the archive does not store objects of this SOP class", False),
    0x0124: ("not-authorized", "the archive does not let us store this instance", False),
    0x0131: ("duplicate-transaction", "the archive knows the transaction already", False),
    0x0213: ("out-of-resources", "the archive lacks resources", True),
    0xA700: ("out-of-resources", "the archive lacks resources", True),
    0xA710: ("not-validated", "the archive could not validate the instance", False),
    0xA770: ("duplicate-note", "the archive has this rejection note", False),
    0xA771: ("rejected-before", "the archive took the instance out of use and does not take it again", False),
    0xC122: ("transfer-syntax-not-supported", "the archive does not store this transfer syntax", False),
    0xC409: ("not-authorized", "the archive does not let us store this instance", False),
}
_RANGES: Final = {
    0xA7: ("out-of-resources", "the archive lacks resources", True),
    0xA9: ("dataset-mismatch", "the archive says that the data set does not match its SOP class", False),
}


@frozen(kw_only=True)
class Reason:
    """Why an instance was not stored. ``code`` is stable, ``number`` the archive's own."""

    number: int
    code: str
    message: str
    transient: bool


@frozen(kw_only=True)
class Verdict:
    """An answer: warnings of each stored instance by SOP Instance UID, and reasons of each that was not."""

    stored: dict[str, tuple[str, ...]]
    failed: dict[str, Reason]


def verdict_of(parsed: Any) -> Verdict:
    """What a parsed body says; nothing, where it is no answer to a store request.

    An instance that is in both lists counts as failed.
    """
    if isinstance(parsed, list) and len(parsed) == 1:
        parsed = parsed[0]
    answer = Answer(parsed if isinstance(parsed, dict) else {})
    failed = {item.text(_UID): reason_of(item.number(_REASON)) for item in answer.items(_FAILED)}
    stored = {item.text(_UID): _warnings(item) for item in answer.items(_STORED) if item.text(_UID) not in failed}
    return Verdict(stored=stored, failed=failed)


def reason_of(number: int | None) -> Reason:
    """A Failure Reason in our words; one that nobody knows is not taken to pass."""
    known = _REASONS.get(number or 0) or _RANGES.get((number or 0) >> 8)
    if known is None and (number or 0) >> 12 == 0xC:
        known = ("cannot-understand", "the archive cannot understand the instance", False)
    code, message, transient = known or ("refused", "the archive did not store the instance", False)
    told = "without a reason" if number is None else f"reason {number:04X}"
    return Reason(number=number or 0, code=code, message=f"{message} ({told})", transient=transient)


def _warnings(item: Answer) -> tuple[str, ...]:
    number = item.number(_WARNING)
    return () if number is None else (f"{number:04X}",)
