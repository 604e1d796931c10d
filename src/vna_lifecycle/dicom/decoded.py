"""Whether two objects decode to the same pixels: asked only where the syntaxes differ and both are lossless.

Frames are compared one by one as pydicom's decoders give them: allocated words, samples of one pixel side by side
(planar configuration 0), no colour transform, no look-up table. Bits above Bits Stored are compared apart, because
codecs do not keep them.
"""

from __future__ import annotations

import warnings
from itertools import zip_longest
from pathlib import Path
from typing import Final

from attrs import frozen

LOSSLESS: Final = frozenset(
    "1.2.840.10008.1.2" + suffix
    for suffix in ("", ".1", ".1.98", ".1.99", ".2", ".4.57", ".4.70", ".4.80", ".4.90", ".4.201", ".4.202", ".5")
)
"""Transfer syntaxes that cannot lose anything (PS3.5 annex A, PS3.6 table A-1)."""


_DEFLATED: Final = "1.2.840.10008.1.2.1.99"


@frozen(kw_only=True)
class Decoded:
    """``equal`` is None where it could not be decided; ``reason`` then says why."""

    equal: bool | None
    high_bits_equal: bool | None = None
    reason: str = ""


_UNDECODABLE: Final = (AttributeError, ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)


def compare_decoded(first: Path, second: Path) -> Decoded:
    """Decode both files frame by frame and compare. Needs the extra ``pixels``; anything undecodable is an answer."""
    try:
        import numpy as np
        from pydicom import dcmread
        from pydicom.pixels.utils import iter_pixels
    except ImportError:
        return Decoded(equal=None, reason="the extra 'pixels' is not installed")
    high_bits = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            headers = [dcmread(path, stop_before_pixels=True) for path in (first, second)]
            stored = {int(header.BitsStored) for header in headers}
            if len(stored) > 1:
                return Decoded(equal=False)
            mask = (1 << stored.pop()) - 1
            # pydicom reads frames one by one from a file, unless the file must be inflated first
            sources = [
                dcmread(path) if header.file_meta.get("TransferSyntaxUID", "") == _DEFLATED else path
                for path, header in zip((first, second), headers, strict=True)
            ]
            for ours, theirs in zip_longest(
                *(iter_pixels(source, raw=True, correct_unused_bits=False) for source in sources)
            ):
                if ours is None or theirs is None or ours.shape != theirs.shape:
                    return Decoded(equal=False)
                if "f" in (ours.dtype.kind, theirs.dtype.kind):
                    if ours.tobytes() != theirs.tobytes():
                        return Decoded(equal=False)
                    continue
                ours, theirs = ours.astype(np.int64), theirs.astype(np.int64)
                if not np.array_equal(ours & mask, theirs & mask):
                    return Decoded(equal=False)
                high_bits = high_bits and bool(np.array_equal(ours, theirs))
        except _UNDECODABLE as exc:
            return Decoded(equal=None, reason=f"cannot decode ({type(exc).__name__})")
    return Decoded(equal=True, high_bits_equal=high_bits)
