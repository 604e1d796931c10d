"""How an instance is encoded, and the classes by which two encodings of the same instance differ."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable

from attrs import frozen


class EncodingClass(enum.Enum):
    """In what two encodings of an instance with the same attributes and the same pixels differ.

    Clauses are those of PS3.5. `UNEXPLAINED`: their bytes differ, and in none of the other classes.
    """

    TRANSFER_SYNTAX = "transfer-syntax"
    """Another transfer syntax (10): byte order, stated or implied VRs, lossless compression of the pixels."""
    PIXEL_DESCRIPTION = "pixel-description"
    """Photometric Interpretation or Planar Configuration, which follow the compression (8.2)."""
    DEFLATION = "deflation"
    """The same deflated data set (A.5), compressed otherwise."""
    GROUP_LENGTHS = "group-lengths"
    """Group lengths, gggg,0000 (7.2): other ones, or only on one side."""
    SEQUENCE_LENGTHS = "sequence-lengths"
    """Sequences or items of defined instead of undefined length (7.5), or the other way round."""
    VALUE_REPRESENTATIONS = "value-representations"
    """The stated VRs of public elements (7.1.2), `UN` where it was known (6.2.2) for one."""
    PRIVATE_REPRESENTATIONS = "private-representations"
    """The stated VRs of private elements (7.8)."""
    VALUE_PADDING = "value-padding"
    """Spaces and NULs at the end of text and UIDs (6.2)."""
    PIXEL_PADDING = "pixel-padding"
    """The byte after native pixels of an odd length (8.1.1)."""
    FRAGMENTS = "fragments"
    """Where the codestreams are divided into fragments (A.4)."""
    OFFSET_TABLES = "offset-tables"
    """The basic or the extended offset table (A.4)."""
    TRAILING_PADDING = "trailing-padding"
    """Data Set Trailing Padding, FFFC,FFFC (PS3.10, 7.2), or zeros after the last element."""
    UNEXPLAINED = "unexplained"


@frozen(kw_only=True)
class Encoding:
    """What is left out of the digests that make two instances equivalent, each aspect as a digest of its own.

    Each is the first 16 hexadecimal digits of a SHA-256, ``""`` where the instance has nothing of the kind. ``stated``
    are the VRs of public elements but for pixels, and ``""`` where the transfer syntax implies all VRs; ``fragments``
    is ``""`` where the pixels are native, and ``native`` where they are not.
    """

    group_lengths: str
    sequence_lengths: str
    stated: str
    stated_private: str
    stated_pixels: str
    value_padding: str
    native: str
    fragments: str
    offset_tables: str
    trailing_padding: str


def classes_counted(found: Iterable[Iterable[EncodingClass]]) -> str:
    """The classes of many instances in one line, each with how many have it; ``""`` where none is known."""
    counts = Counter(each for classes in found for each in classes)
    return ", ".join(f"{each.value} ({counts[each]:,})" for each in EncodingClass if each in counts)
