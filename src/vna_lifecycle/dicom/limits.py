"""Budgets of the scanner and the words with which it refuses."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from vna_lifecycle.errors import DicomRefused


@frozen(kw_only=True)
class Limits:
    """What one file may cost before it is refused. Sizes are bytes.

    ``inflated_size`` bounds a deflated data set; past ``inflate_free`` bytes it may also not be more than
    ``inflate_ratio`` times as large as its compressed form. ``value_size`` bounds an index attribute's value, and
    ``padding_size`` the zeros that may follow a data set.
    """

    depth: int = 64
    elements: int = 1_500_000
    empty_items: int = 100_000
    inflated_size: int = 4 << 30
    inflate_free: int = 64 << 20
    inflate_ratio: int = 200
    value_size: int = 16 << 10
    padding_size: int = 1 << 20


LIMITS: Final = Limits()
"""The budgets used unless told otherwise: any one of them is spent within 2 s and 256 MiB."""

REASONS: Final[dict[str, tuple[str, str]]] = {
    "bad-deflate": ("the deflated data set cannot be inflated", "fetch the file again"),
    "directory": ("this is a folder, not a file", ""),
    "empty": ("the file has no bytes", "fetch the file again"),
    "incomplete-object": (
        "attributes that this kind of object cannot do without are missing",
        "look at the object in its source archive",
    ),
    "inflate-limit": ("the deflated data set expands beyond its budget", "raise the budget if the sender is trusted"),
    "item-flood": ("more empty sequence items follow each other than any real object has", ""),
    "malformed": ("the structure of the data set contradicts itself", "look at the object in its source archive"),
    "media-directory": ("this is a DICOMDIR, which lists instances and is none itself", "read the files it lists"),
    "non-patient-object": ("this object belongs to no patient or study (hanging protocol, palette, inventory)", ""),
    "not-dicom": ("these bytes are not a DICOM data set", ""),
    "special-file": ("this is a device, pipe or socket, which is never read", ""),
    "too-deep": ("sequences are nested deeper than the budget allows", "raise the budget if the sender is trusted"),
    "too-many-elements": (
        "there are more elements than the budget allows",
        "raise the budget if the sender is trusted",
    ),
    "trailing-data": ("bytes that are no element follow the data set", "look at the object in its source archive"),
    "truncated": ("bytes are missing: the lengths in the file say that it goes on", "fetch the file again"),
}
"""Every code of `DicomRefused` that this room gives, with its sentence and what to do next."""


def refused(code: str, offset: int) -> DicomRefused:
    """The refusal named ``code``, for the trouble that starts at ``offset``."""
    message, hint = REASONS[code]
    return DicomRefused(f"{message} (at byte {offset})", code=code, offset=offset, hint=hint)
