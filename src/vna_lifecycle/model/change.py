"""Changes to objects, each with its authority."""

from __future__ import annotations

import enum

from attrs import frozen


class ChangeReason(enum.Enum):
    """Reason for the Attribute Modification (0400,0565), PS3.3 C.12.1.1.9."""

    COERCE = "COERCE"
    CORRECT = "CORRECT"


@frozen(kw_only=True)
class AttributeChange:
    """One top-level attribute that gets another value.

    ``keyword`` is the DICOM keyword. ``value`` holds the new values as text, one per multiplicity; empty means present
    with zero length; None means that the attribute is removed.
    """

    keyword: str
    value: tuple[str, ...] | None
    reason: ChangeReason = ChangeReason.COERCE
