"""Identifiers: the small data sets of queries and their answers (PS3.4 C.4.1.1.3), kept as the bytes that came."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from attrs import frozen

from vna_lifecycle.adapters.dimse.wire.reasons import violation
from vna_lifecycle.dicom.elements import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, walk
from vna_lifecycle.dicom.limits import LIMITS
from vna_lifecycle.dicom.part10 import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from vna_lifecycle.dicom.source import bytes_source
from vna_lifecycle.errors import DicomRefused

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

UNCOMPRESSED: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
"""Transfer syntaxes for everything but objects: the one that states VRs, then the one that everybody has."""

_STRUCTURE: Final = frozenset({ITEM, ITEM_END, SEQUENCE_END})


@frozen(kw_only=True)
class Identifier:
    """One answer of a query. ``all_keys`` is False where the peer did not support every optional key (status FF01)."""

    data: bytes
    transfer_syntax: str
    all_keys: bool = True

    @property
    def values(self) -> dict[int, bytes]:
        """The raw values of the top level by tag, without sequences: many times faster than `dataset`.

        Raises:
            ArchiveError: the bytes are no data set.
        """
        source = bytes_source(self.data)
        big, explicit = self.transfer_syntax == EXPLICIT_BIG, self.transfer_syntax != IMPLICIT_LITTLE
        try:
            return {
                tag: self.data[offset : offset + length]
                for tag, _, offset, length, depth, _ in walk(source, 0, explicit=explicit, big=big, limits=LIMITS)
                if not depth and length != UNDEFINED and tag not in _STRUCTURE
            }
        except DicomRefused:
            raise violation("an identifier is malformed") from None

    @property
    def dataset(self) -> Dataset:
        """The data set, sequences and all.

        Raises:
            ArchiveError: the bytes are no data set.
        """
        return decode_dataset(self.data, self.transfer_syntax)


def encode_dataset(dataset: Dataset, transfer_syntax: str) -> bytes:
    """The bytes of a small data set, in one of the uncompressed transfer syntaxes."""
    from pydicom.filebase import DicomFileLike
    from pydicom.filewriter import write_dataset

    memory = io.BytesIO()
    written = DicomFileLike(memory)
    written.is_implicit_VR = transfer_syntax == IMPLICIT_LITTLE
    written.is_little_endian = transfer_syntax != EXPLICIT_BIG
    write_dataset(written, dataset)
    return memory.getvalue()


def decode_dataset(data: bytes, transfer_syntax: str) -> Dataset:
    """A small data set from its bytes, in one of the uncompressed transfer syntaxes.

    Raises:
        ArchiveError: the bytes are no data set.
    """
    from pydicom.filereader import read_dataset

    try:
        return read_dataset(
            io.BytesIO(data), transfer_syntax == IMPLICIT_LITTLE, transfer_syntax != EXPLICIT_BIG, len(data)
        )
    except Exception as problem:
        raise violation("a data set is malformed") from problem
