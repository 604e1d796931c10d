"""Whether a file is another one but for some top-level attributes, and what these are.

``rest`` covers every other attribute as `canonical` gives it: two files of the same rest and the same codestreams are
the same instance, corrected or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from vna_lifecycle.dicom.compare import attribute_digests
from vna_lifecycle.dicom.dictionary import keyword_of
from vna_lifecycle.dicom.texts import texts_of


def rest_sha256(path: Path, without: Collection[str]) -> str:
    """SHA-256 of all top-level attributes but those ``without``, by keyword; pixel data is not in it.

    Raises:
        DicomRefused: it is not a DICOM instance that can be trusted.
        OSError: it cannot be opened or read.
    """
    digest = hashlib.sha256()
    for tag, own in sorted(attribute_digests(path).items()):
        if keyword_of(tag) not in without:
            digest.update(tag.to_bytes(4, "big") + own)
    return digest.hexdigest()


def has_values(path: Path, wanted: Mapping[str, tuple[str, ...] | None]) -> bool:
    """Whether a file's top-level attributes, by keyword, have these texts; empty: zero length; None: it has none.

    Spaces around a value count as padding (PS3.5 6.2), and so do empty component groups at a name's end (6.2.1.1).

    Raises:
        DicomRefused: it is not a DICOM instance that can be trusted.
        OSError: it cannot be opened or read.
    """
    present = {keyword_of(tag) for tag in attribute_digests(path)}
    texts = {text.keyword: text.values for text in texts_of(path) if not text.depth and text.keyword in wanted}
    return all(
        keyword not in present if values is None else keyword in present and _same(texts.get(keyword, ()), values)
        for keyword, values in wanted.items()
    )


def _same(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return _plain(one) == _plain(other)


def _plain(values: tuple[str, ...]) -> list[str]:
    plain = [value.strip(" \0").rstrip("=^") for value in values]
    return plain if any(plain) else []
