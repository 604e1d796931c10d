"""How far two files hold the same instance, and if they do not, in what they differ."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from vna_lifecycle.dicom.canonical import canonical_header
from vna_lifecycle.dicom.dataset import open_dataset
from vna_lifecycle.dicom.decoded import LOSSLESS, comparable_decoded, decoded_digest
from vna_lifecycle.dicom.dictionary import keyword_of
from vna_lifecycle.dicom.digest import Examined, dataset_as_labelled, examine_file
from vna_lifecycle.dicom.encoding import encoding_classes, encoding_of
from vna_lifecycle.dicom.limits import LIMITS, Limits
from vna_lifecycle.dicom.source import file_source
from vna_lifecycle.model.encoding import EncodingClass
from vna_lifecycle.model.inventory import ManifestEntry, Rung
from vna_lifecycle.ports import ConflictClass

PATIENT_MODULE: Final = frozenset(
    {0x00081120, 0x00100010, 0x00100011, 0x00100012, 0x00100013, 0x00100014, 0x00100015, 0x00100016, 0x00100020}
    | {0x00100021, 0x00100022, 0x00100024, 0x00100026, 0x00100027, 0x00100028, 0x00100030, 0x00100032, 0x00100033}
    | {0x00100034, 0x00100035, 0x00100040, 0x00100041, 0x00100042, 0x00100043, 0x00100044, 0x00100045, 0x00100046}
    | {0x00100047, 0x00100200, 0x00100212, 0x00100213, 0x00100214, 0x00100215, 0x00100216, 0x00100217, 0x00100218}
    | {0x00100219, 0x00100221, 0x00100222, 0x00100223, 0x00100229, 0x00101000, 0x00101001, 0x00101002, 0x00101100}
    | {0x00102160, 0x00102161, 0x00102162, 0x00102201, 0x00102202, 0x00102292, 0x00102293, 0x00102294, 0x00102295}
    | {0x00102296, 0x00102297, 0x00102298, 0x00102299, 0x00104000, 0x00120062, 0x00120063, 0x00120064}
)
"""The Patient Module's attributes at the top level (PS3.3 C.7.1.1, with the macros it includes)."""

_NATIVE: Final = frozenset("1.2.840.10008.1.2" + suffix for suffix in ("", ".1", ".1.99", ".2"))
"""Transfer syntaxes whose pixels are not encapsulated (PS3.5 A.1 to A.3 and A.5)."""


@frozen(kw_only=True)
class Comparison:
    """What comparing two files showed.

    ``rung`` is HASHED, EQUIVALENT, or None where they differ or it could not be decided. ``pixels_equal`` is None where
    it could not be decided; ``reason`` then says why. ``attributes`` are the top-level elements that differ, by
    keyword, or as ``(gggg,eeee)`` where the dictionary has none; ``tags`` are the same as numbers. ``encoding`` tells
    in what two EQUIVALENT ones differ.
    """

    rung: Rung | None
    pixels_equal: bool | None
    attributes: tuple[str, ...] = ()
    tags: tuple[int, ...] = ()
    reason: str = ""
    encoding: tuple[EncodingClass, ...] = ()


def compare_files(a: Path, b: Path, *, limits: Limits = LIMITS) -> Comparison:
    """Compare two files by digest, then attribute by attribute, and by decoded frames where that is needed and sound.

    Pixels that went from lossless to lossy, or through a lossy codec again, are never equal.

    Raises:
        DicomRefused: one of them is not a DICOM instance that can be trusted.
        OSError: one of them cannot be opened or read.
    """
    first, second = examine_file(a, limits=limits), examine_file(b, limits=limits)
    same_syntax = first.record.transfer_syntax == second.record.transfer_syntax
    if same_syntax and first.digest.dataset_sha256 == second.digest.dataset_sha256:
        return Comparison(rung=Rung.HASHED, pixels_equal=True)
    tags: tuple[int, ...] = ()
    if first.digest.header_sha256 != second.digest.header_sha256:
        ours, theirs = attribute_digests(a, limits=limits), attribute_digests(b, limits=limits)
        tags = tuple(sorted(tag for tag in ours.keys() | theirs.keys() if ours.get(tag) != theirs.get(tag)))
    syntaxes = first.record.transfer_syntax, second.record.transfer_syntax
    pixels = first.digest.pixel_sha256 and second.digest.pixel_sha256
    equal: bool | None = first.digest.pixel_sha256 == second.digest.pixel_sha256
    reason = ""
    if pixels and equal and _relabelled(*syntaxes):
        equal, reason = None, "the same codestreams are labelled with another transfer syntax"
    same = bool(equal) and not tags
    if pixels and not equal and comparable_decoded(*syntaxes):
        decoded = decoded_digest(a, limits=limits), decoded_digest(b, limits=limits)
        reason = decoded[0].reason or decoded[1].reason
        equal = None if reason else decoded[0].frames_sha256 == decoded[1].frames_sha256
        same = not reason and decoded[0].sha256 == decoded[1].sha256
    return Comparison(
        rung=Rung.EQUIVALENT if same else None,
        pixels_equal=equal,
        attributes=tuple(keyword_of(tag) for tag in tags),
        tags=tags,
        reason=reason,
        encoding=encoding_classes(_encoded(a, first), _encoded(b, second)) if same else (),
    )


def _relabelled(one: str, other: str) -> bool:
    """Whether one codestream under both would be given to different decoders, which need not see the same in it."""
    return one != other and not _NATIVE.issuperset((one, other))


def _encoded(path: Path, examined: Examined) -> ManifestEntry:
    return entry_of(path, examined, encoding=True)


def attribute_digests(path: Path, *, limits: Limits = LIMITS) -> dict[int, bytes]:
    """SHA-256 of each top-level element's canonical bytes, by tag; a repeated element counts as one with its twin."""
    digests: dict[int, bytes] = {}
    with file_source(path) as source, open_dataset(source, limits) as dataset:
        last, digest = -1, hashlib.sha256()
        for tag, piece in canonical_header(dataset.walk(limits), dataset.source):
            if tag != last:
                if last >= 0:
                    digests[last] = digest.digest()
                digest = hashlib.sha256(digests.get(tag, b""))
                last = tag
            digest.update(piece)
        if last >= 0:
            digests[last] = digest.digest()
    return digests


def entry_of(path: Path, examined: Examined, *, decoded: bool = False, encoding: bool = False) -> ManifestEntry:
    """A file as an entry of a manifest.

    ``decoded``: with the digest of header and decoded frames, where it has one. ``encoding``: with how it is encoded.

    Raises:
        DicomRefused: it is not a DICOM instance that can be trusted.
        OSError: it cannot be opened or read.
    """
    record, digest = examined.record, examined.digest
    if decoded and digest.pixel_sha256 and record.transfer_syntax in LOSSLESS:
        digest = evolve(digest, decoded_sha256=decoded_digest(path).sha256)
    if encoding:
        digest = evolve(digest, encoding=encoding_of(path))
    return ManifestEntry(
        sop_instance_uid=record.sop_instance_uid,
        series_uid=record.series_uid,
        sop_class_uid=record.sop_class_uid,
        transfer_syntax=record.transfer_syntax,
        size=path.stat().st_size if record.size is None else record.size,
        digest=digest,
    )


def entry_against(path: Path, expected: ManifestEntry, *, locator: str = "") -> ManifestEntry:
    """What a file holds, to be compared with ``expected``; decoded only where nothing less can show that it is equal.

    How it is encoded is told where it is told of ``expected``.

    Raises:
        DicomRefused: it is not a DICOM instance that can be trusted.
        OSError: it cannot be opened or read.
    """
    digest, _, syntax = dataset_as_labelled(path)
    if (digest, syntax) == (expected.digest.dataset_sha256, expected.transfer_syntax):
        return expected
    examined = examine_file(path, locator=locator)
    other = examined.digest.pixel_sha256 != expected.digest.pixel_sha256
    other = other or _relabelled(expected.transfer_syntax, examined.record.transfer_syntax)
    lossless = comparable_decoded(expected.transfer_syntax, examined.record.transfer_syntax)
    decoded = other and lossless and bool(expected.digest.decoded_sha256)
    return entry_of(path, examined, decoded=decoded, encoding=expected.digest.encoding is not None)


def compare_entries(one: ManifestEntry, other: ManifestEntry) -> Rung:
    """The strongest rung at which two instances of one SOP Instance UID are the same.

    HASHED: same data set bytes, to be read by the same transfer syntax. EQUIVALENT: same canonical header and same
    codestreams, or, between lossless syntaxes, the same once decoded. Otherwise they are only LISTED under the same
    UID, or SIZED alike.
    """
    a, b = one.digest, other.digest
    if a.dataset_sha256 == b.dataset_sha256 and one.transfer_syntax == other.transfer_syntax:
        return Rung.HASHED
    relabelled = a.pixel_sha256 and _relabelled(one.transfer_syntax, other.transfer_syntax)
    if (a.header_sha256, a.pixel_sha256) == (b.header_sha256, b.pixel_sha256) and not relabelled:
        return Rung.EQUIVALENT
    lossless = comparable_decoded(one.transfer_syntax, other.transfer_syntax)
    if lossless and a.decoded_sha256 and a.decoded_sha256 == b.decoded_sha256:
        return Rung.EQUIVALENT
    return Rung.SIZED if a.dataset_size == b.dataset_size else Rung.LISTED


def conflict_class(a: Path, b: Path, *, limits: Limits = LIMITS) -> ConflictClass:
    """What kind of conflict two contents under one SOP Instance UID are; what cannot be decided is content.

    Raises:
        DicomRefused: one of them is not a DICOM instance that can be trusted.
        OSError: one of them cannot be opened or read.
    """
    comparison = compare_files(a, b, limits=limits)
    if comparison.rung is not None:
        return ConflictClass.ENCODING
    if comparison.pixels_equal and PATIENT_MODULE.issuperset(comparison.tags):
        return ConflictClass.DEMOGRAPHICS
    return ConflictClass.CONTENT
