"""What an object of a SOP class cannot be without: how a file that was cut between two elements is noticed.

Such a file has no length that contradicts it. What can be known is that what must come late in the file is not there:
pixel data, a content or waveform sequence, an encapsulated document. A file that was cut after the last such element
(see `REQUIRED` and `scan`) cannot be told from a complete one by its own bytes.
"""

from __future__ import annotations

from typing import Final

from vna_lifecycle.dicom.limits import refused

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_PIXELS: Final = (0x7FE00010, 0x7FE00008, 0x7FE00009, 0x00287FE0)  # (0028,7FE0): the pixels are served elsewhere (JPIP)


_DESCRIBED: Final = (*_PIXELS, 0x56000020)  # what Rows and Columns describe: pixels or spectra
_STRUCTURE_SET: Final = 0x300C0060  # must follow in a plan whose RT Plan Geometry is PATIENT (PS3.3 C.8.8.9)
PLAN_GEOMETRY: Final = 0x300A000C


def _each(suffixes: str, *tags: int) -> dict[str, tuple[int, ...]]:
    return dict.fromkeys((_STORAGE + suffix for suffix in suffixes.split()), tags)


_IMAGES: Final = """
1 1.1 1.1.1 1.2 1.2.1 1.3 1.3.1 2 2.1 2.2 3 3.1 4 4.1 4.3 4.4 5 6 6.1 6.2 6.3 7 7.1 7.2 7.3 7.4 12.1 12.1.1 12.2 12.2.1
12.3 13.1.1 13.1.2 13.1.3 13.1.4 13.1.5 14.1 14.2 20 30 66.4 77.1.1 77.1.1.1 77.1.2 77.1.2.1 77.1.3 77.1.4 77.1.4.1
77.1.5.1 77.1.5.2 77.1.5.4 77.1.5.5 77.1.5.6 77.1.5.7 77.1.6 77.1.7 77.1.8 77.1.9 81.1 82.1 128 128.1 130 481.1 481.23
481.24 601.1 601.2
"""
_WAVEFORMS: Final = "9.1.1 9.1.2 9.1.3 9.1.4 9.2.1 9.3.1 9.4.1 9.4.2 9.5.1 9.6.1 9.6.2 9.7.1 9.7.2 9.7.3 9.7.4 9.8.1"
_REPORTS: Final = """
88.11 88.22 88.33 88.34 88.35 88.40 88.50 88.59 88.65 88.67 88.68 88.69 88.70 88.71 88.72 88.73 88.74 88.75 88.76 88.77
"""
_PRESENTATIONS: Final = "11.1 11.2 11.3 11.4 11.5 11.6 11.7 11.8 11.9 11.10 11.11 11.12"

REQUIRED: Final[dict[str, tuple[int, ...]]] = {
    **_each(_IMAGES, *_PIXELS),
    **_each(_WAVEFORMS, 0x54000100),
    **_each(_REPORTS, 0x0040A730),
    **_each(_PRESENTATIONS, 0x00700082),
    **_each("104.1 104.2 104.3 104.4 104.5", 0x00420011),
    **_each("4.2", 0x56000020),
    **_each("66.1", 0x00700308),
    **_each("66.2", 0x0070031C),
    **_each("66.3", 0x00640002),
    **_each("66.5", 0x00660002),
    **_each("67", 0x00409094),
    **_each("481.2", *_PIXELS, 0x30040050),
    **_each("481.3", 0x30060080),
    **_each("481.5 481.8", _STRUCTURE_SET),
}
"""By SOP class: attributes of which at least one must be there (type 1 in the class's IOD, PS3.3 A.2-A.87)."""

WITNESSES: Final = frozenset(tag for tags in REQUIRED.values() for tag in tags)

_WITHOUT_PATIENT: Final = (
    "1.2.840.10008.5.1.4.38.",  # hanging protocols
    "1.2.840.10008.5.1.4.39.",  # colour palettes
    "1.2.840.10008.5.1.4.43.",  # implant templates
    "1.2.840.10008.5.1.4.44.",
    "1.2.840.10008.5.1.4.45.",
    _STORAGE + "200.1",  # procedure protocols as defined
    _STORAGE + "200.7",
    _STORAGE + "201.",  # inventories
)


def require_complete(
    sop_class: str,
    sop_instance: str,
    study: str,
    series: str,
    *,
    has_rows: bool,
    plan_geometry: bytes | None,
    seen: set[int],
    end: int,
) -> None:
    """Refuse an object that lacks what its SOP class cannot do without. ``seen`` holds the `WITNESSES` found.

    Raises:
        DicomRefused: ``non-patient-object``, ``incomplete-object``, or ``truncated`` where the object describes pixels
            that it does not have.
    """
    if sop_class.startswith(_WITHOUT_PATIENT):
        raise refused("non-patient-object", end)
    if not (sop_class and sop_instance and study and series):
        raise refused("incomplete-object", end)
    required = REQUIRED.get(sop_class)
    if required == (_STRUCTURE_SET,) and plan_geometry is not None and not plan_geometry.startswith(b"PATIENT"):
        required = None
    if required is not None and seen.isdisjoint(required):
        raise refused("truncated" if has_rows else "incomplete-object", end)
    if has_rows and seen.isdisjoint(_DESCRIBED):
        raise refused("truncated", end)
