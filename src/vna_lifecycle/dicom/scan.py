"""Headers to index attributes, bounded: any bytes give a record or a typed refusal, quickly and in little memory.

"It parses" is not verification. Every length at every depth must agree with the bytes that are there, a deflated data
set must reach its end marker, and an object must have what its SOP class cannot do without (`completeness`). So a file
that was cut anywhere is refused, with one exception that no reader of the file alone can see: a cut exactly between
two top-level elements *after* the last element that the SOP class requires. What can lie there: elements after the
pixel data (signatures, padding, private groups), optional elements at the end of objects without pixel data, and all
elements of private SOP classes without Rows. Sizes and digests in manifests notice those.

Oddities that do not prevent reading are flags of the record:

``no-preamble``, ``no-meta``, ``no-transfer-syntax``
    parts of PS3.10 7.1 are missing; without a stated transfer syntax the record has the one that was recognised.
``executable-preamble``
    the 128 bytes before DICM begin like a program, script or archive. They are kept.
``vr-mismatch``
    the data set is explicit VR where its transfer syntax says implicit, or the other way round.
``meta-mismatch``
    the file meta information names another SOP class or instance than the data set; the data set's are recorded.
``elements-out-of-order``
    tags do not ascend, or repeat; of repeated elements the last counts.
``group-length-mismatch``
    the data set's last group is shorter than its group length says: perhaps cut between two elements.
``short-pixel-data``
    native pixel data has fewer bytes than its own description (rows, columns, ...) needs.
``trailing-zeros``
    zeros follow the data set, as on padded media.
``oversized-value``
    an index attribute's value is too large to be one and was left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO, Final

from vna_lifecycle.dicom.charset import codecs_of, decode
from vna_lifecycle.dicom.completeness import require_complete
from vna_lifecycle.dicom.elements import UNDEFINED
from vna_lifecycle.dicom.index import (
    ACCESSION_ISSUER,
    ALLOCATED,
    CHARACTER_SET,
    COLUMNS,
    FRAMES,
    IN_ITEMS,
    INSTANCE_NUMBER,
    OF_SERIES,
    PHOTOMETRIC,
    PROCEDURE,
    ROWS,
    SAMPLES,
    SOP_CLASS,
    SOP_INSTANCE,
    Found,
    Values,
    collect,
)
from vna_lifecycle.dicom.limits import LIMITS, Limits, refused
from vna_lifecycle.dicom.part10 import MEDIA_DIRECTORY, Beginning, begin
from vna_lifecycle.dicom.source import Source, bytes_source, file_source, inflated, stream_source
from vna_lifecycle.model.identity import SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, SeriesAttributes

_INTEGER: Final = re.compile(rb"[+-]?[0-9]{1,18}(?:\.0*)?")

_series_cache: dict[tuple[bytes | None, ...], SeriesAttributes] = {}
_CACHED_SERIES: Final = 64


def scan_file(path: Path | str, *, locator: str | None = None, limits: Limits = LIMITS) -> InstanceRecord:
    """The index attributes of one file. ``locator`` defaults to the path; ``size`` is the file's.

    Raises:
        DicomRefused: the file is not a DICOM instance that can be trusted (`limits.REASONS` lists the codes).
        OSError: the file cannot be opened or read.
    """
    with file_source(path) as source:
        return scan(source, str(path) if locator is None else locator, limits)


def scan_bytes(data: bytes, *, locator: str = "", limits: Limits = LIMITS) -> InstanceRecord:
    """As `scan_file`, for a whole file in memory."""
    return scan(bytes_source(data), locator, limits)


def scan_stream(stream: BinaryIO, *, locator: str = "", limits: Limits = LIMITS) -> InstanceRecord:
    """As `scan_file`, for an open binary stream that can seek."""
    return scan(stream_source(stream), locator, limits)


def scan(source: Source, locator: str, limits: Limits) -> InstanceRecord:
    """The index attributes of the file whose bytes ``source`` holds."""
    beginning = begin(source, limits)
    if beginning.media_sop_class == MEDIA_DIRECTORY:
        raise refused("media-directory", 0)
    if beginning.deflated:
        with inflated(source, beginning.start, limits) as dataset:
            return _record(dataset, 0, beginning, source.size, locator, limits)
    return _record(source, beginning.start, beginning, source.size, locator, limits)


def _record(
    source: Source, start: int, beginning: Beginning, size: int, locator: str, limits: Limits
) -> InstanceRecord:
    found = collect(source, start, explicit=beginning.explicit, big=beginning.big, limits=limits)
    return _assemble(found, beginning, source.size, size, locator)


def _assemble(found: Found, beginning: Beginning, end: int, size: int, locator: str) -> InstanceRecord:
    values = found.values
    series = _series(values, found.nested)
    sop_class = _plain(values.get(SOP_CLASS))
    sop_instance = _plain(values.get(SOP_INSTANCE))
    require_complete(
        sop_class,
        sop_instance,
        series.study_uid,
        series.series_uid,
        has_rows=ROWS in values and COLUMNS in values,
        seen=found.seen,
        end=size,
    )
    flags = beginning.flags
    if (beginning.media_sop_class and beginning.media_sop_class != sop_class) or (
        beginning.media_sop_instance and beginning.media_sop_instance != sop_instance
    ):
        flags += ("meta-mismatch",)
    if found.disordered:
        flags += ("elements-out-of-order",)
    if found.group and found.group == found.last >> 16 and found.group_end > end:
        flags += ("group-length-mismatch",)
    if found.padded:
        flags += ("trailing-zeros",)
    if found.oversized:
        flags += ("oversized-value",)
    order = "big" if beginning.big else "little"
    rows, columns = _word(values.get(ROWS), order), _word(values.get(COLUMNS), order)
    frames = _integer(values.get(FRAMES))
    if 0 <= found.pixel_length < UNDEFINED and rows and columns:
        samples = _word(values.get(SAMPLES), order) or 1
        if samples == 3 and b"_42" in values.get(PHOTOMETRIC, b""):
            samples = 2 if b"_422" in values[PHOTOMETRIC] else 1
        bits = _word(values.get(ALLOCATED), order) or 8
        if found.pixel_length < (rows * columns * samples * bits * (frames or 1) + 7) // 8:
            flags += ("short-pixel-data",)
    return InstanceRecord(
        locator=locator,
        sop_instance_uid=SOPInstanceUID(sop_instance),
        sop_class_uid=sop_class,
        transfer_syntax=beginning.transfer_syntax,
        size=size,
        instance_number=_integer(values.get(INSTANCE_NUMBER)),
        rows=rows,
        columns=columns,
        frames=frames,
        flags=flags,
        series=series,
    )


def _series(values: Values, nested: dict[int, Values]) -> SeriesAttributes:
    """The series attributes; the instances of a series share one value, made from the same raw bytes."""
    issuer = nested.get(ACCESSION_ISSUER, {})
    procedure = nested.get(PROCEDURE, {})
    key = (*map(values.get, OF_SERIES), *map(issuer.get, IN_ITEMS), *map(procedure.get, IN_ITEMS))
    known = _series_cache.get(key)
    if known is not None:
        return known
    character_set = _plain(values.get(CHARACTER_SET))
    codecs = codecs_of(character_set)
    raw = values.get
    series = SeriesAttributes(
        patient_id=_text(raw(0x00100020), codecs),
        issuer_of_patient_id=_text(raw(0x00100021), codecs),
        patient_name=_name(raw(0x00100010), codecs),
        patient_birth_date=_plain(raw(0x00100030)),
        patient_sex=_plain(raw(0x00100040)),
        study_uid=StudyUID(_plain(raw(0x0020000D))),
        study_id=_text(raw(0x00200010), codecs),
        study_date=_plain(raw(0x00080020)),
        study_time=_plain(raw(0x00080030)),
        accession_number=_text(raw(0x00080050), codecs),
        issuer_of_accession_number=_issuer(issuer, character_set),
        study_description=_text(raw(0x00081030), codecs),
        procedure_code=_code(procedure, character_set),
        series_uid=SeriesUID(_plain(raw(0x0020000E))),
        series_number=_plain(raw(0x00200011)),
        modality=_plain(raw(0x00080060)),
        series_description=_text(raw(0x0008103E), codecs),
        body_part=_plain(raw(0x00180015)),
        laterality=_plain(raw(0x00200060)),
        character_set=character_set,
    )
    if len(_series_cache) >= _CACHED_SERIES:
        _series_cache.clear()
    _series_cache[key] = series
    return series


def _stripped(text: str) -> str:
    if "\\" in text:
        return "\\".join(part.strip(" \0") for part in text.split("\\"))
    return text.strip(" \0")


def _plain(raw: bytes | None) -> str:
    """Values of VRs in the default repertoire (CS, DA, IS, TM, UI)."""
    return _stripped(raw.decode("latin_1")) if raw else ""


def _text(raw: bytes | None, codecs: tuple[str, ...]) -> str:
    return _stripped(decode(raw, codecs)) if raw else ""


def _name(raw: bytes | None, codecs: tuple[str, ...]) -> str:
    """A person name without the delimiters of empty trailing component groups (PS3.5 6.2.1.1)."""
    return _stripped(decode(raw, codecs)).rstrip("=") if raw else ""


def _issuer(item: Values, character_set: str) -> str:
    codecs = codecs_of(_plain(item.get(CHARACTER_SET)) or character_set)
    return _text(item.get(0x00400031), codecs) or _text(item.get(0x00400032), codecs)


def _code(item: Values, character_set: str) -> str:
    """``value^scheme`` of a coded entry (PS3.3 8.8): its short, long or URN form."""
    codecs = codecs_of(_plain(item.get(CHARACTER_SET)) or character_set)
    value = next((text for tag in (0x00080100, 0x00080119, 0x00080120) if (text := _text(item.get(tag), codecs))), "")
    return f"{value}^{_text(item.get(0x00080102), codecs)}" if value else ""


def _integer(raw: bytes | None) -> int | None:
    match = _INTEGER.fullmatch(raw.strip(b" \0")) if raw else None
    return int(match[0].partition(b".")[0]) if match else None


def _word(raw: bytes | None, order: str) -> int | None:
    if raw is None or len(raw) != 2:
        return None
    return int.from_bytes(raw, "big" if order == "big" else "little")
