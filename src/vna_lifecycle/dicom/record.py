"""From raw values to a record: text decoded, numbers read, flags set, incomplete objects refused."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

from vna_lifecycle.dicom.charset import codecs_of, decode
from vna_lifecycle.dicom.completeness import PLAN_GEOMETRY, require_complete
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
)
from vna_lifecycle.dicom.part10 import Beginning
from vna_lifecycle.model.identity import SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, SeriesAttributes

_INTEGER: Final = re.compile(rb"[+-]?[0-9]{1,18}(?:\.0*)?")

_series_cache: dict[tuple[bytes | None, ...], SeriesAttributes] = {}
_CACHED_SERIES: Final = 64


def assemble(found: Found, beginning: Beginning, end: int, size: int, locator: str) -> InstanceRecord:
    """The record of an object. ``end`` is where its data set ends, ``size`` the file's size.

    Raises:
        DicomRefused: as `completeness.require_complete`.
    """
    values = found.values
    series = series_of(values, found.nested)
    sop_class = _plain(values.get(SOP_CLASS))
    sop_instance = _plain(values.get(SOP_INSTANCE))
    require_complete(
        sop_class,
        sop_instance,
        series.study_uid,
        series.series_uid,
        has_rows=ROWS in values and COLUMNS in values,
        plan_geometry=values.get(PLAN_GEOMETRY),
        seen=found.seen,
        end=size,
    )
    return InstanceRecord(
        locator=locator,
        sop_instance_uid=SOPInstanceUID(sop_instance),
        sop_class_uid=sop_class,
        transfer_syntax=beginning.transfer_syntax,
        size=size,
        instance_number=_integer(values.get(INSTANCE_NUMBER)),
        rows=_word(values.get(ROWS), beginning.big),
        columns=_word(values.get(COLUMNS), beginning.big),
        frames=_integer(values.get(FRAMES)),
        flags=beginning.flags + _flags(found, beginning, end, sop_class, sop_instance),
        series=series,
    )


def _flags(found: Found, beginning: Beginning, end: int, sop_class: str, sop_instance: str) -> tuple[str, ...]:
    flags: tuple[str, ...] = ()
    if (beginning.media_sop_class and beginning.media_sop_class != sop_class) or (
        beginning.media_sop_instance and beginning.media_sop_instance != sop_instance
    ):
        flags += ("meta-mismatch",)
    if found.disordered:
        flags += ("elements-out-of-order",)
    if found.group and found.group == found.last >> 16 and found.group_end > end:
        flags += ("group-length-mismatch",)
    if 0 <= found.pixel_length < (native_length(found.values, big=beginning.big) or 0):
        flags += ("short-pixel-data",)
    if found.padded:
        flags += ("trailing-zeros",)
    if found.oversized:
        flags += ("oversized-value",)
    return flags


def native_length(values: Values, *, big: bool) -> int | None:
    """How many bytes native pixel data has by its description (PS3.5 8.1.1), None where it is not described."""
    return _described(*map(values.get, (ROWS, COLUMNS, ALLOCATED, SAMPLES, PHOTOMETRIC, FRAMES)), big)


@lru_cache(maxsize=64)
def _described(
    rows: bytes | None,
    columns: bytes | None,
    allocated: bytes | None,
    samples: bytes | None,
    photometric: bytes | None,
    frames: bytes | None,
    big: bool,
) -> int | None:
    height, width, bits = _word(rows, big), _word(columns, big), _word(allocated, big)
    if not (height and width and bits):
        return None
    # chroma is stored for every second sample, or also only on every second line
    halves = (photometric or b"").strip(b"\0 ")[-3:]
    per_pixel = {b"422": 2, b"420": 1.5}.get(halves) or _word(samples, big) or 1
    return int(height * width * per_pixel * bits * _positive(frames) + 7) // 8


def frame_count(values: Values) -> int:
    """Number of Frames, 1 where it is absent or no positive number."""
    return _positive(values.get(FRAMES))


def _positive(raw: bytes | None) -> int:
    return max(_integer(raw) or 1, 1)


def series_of(values: Values, nested: dict[int, Values]) -> SeriesAttributes:
    """The series attributes; the instances of a series share one value, made from the same raw bytes."""
    issuer = nested.get(ACCESSION_ISSUER, {})
    procedure = nested.get(PROCEDURE, {})
    key = tuple(map(values.get, OF_SERIES))
    if nested:
        key += (*map(issuer.get, IN_ITEMS), *map(procedure.get, IN_ITEMS))
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
    return _stripped(decode(raw.rstrip(b"\0 "), codecs)).rstrip("=") if raw else ""


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


def _word(raw: bytes | None, big: bool) -> int | None:
    if raw is None or len(raw) != 2:
        return None
    order: Literal["big", "little"] = "big" if big else "little"
    return int.from_bytes(raw, order)
