"""In what two encodings of one instance differ is named: exactly that, and nothing that is the same."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from struct import pack

import pydicom
import pytest
from attrs import evolve, frozen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from vna_lifecycle.dicom.compare import compare_files, entry_of
from vna_lifecycle.dicom.digest import examine_file
from vna_lifecycle.dicom.encoding import encoding_classes, encoding_of
from vna_lifecycle.model.encoding import EncodingClass
from vna_lifecycle.model.inventory import ManifestEntry, Rung

Written = Callable[[bytes], Path]
LONG = {b"OB", b"OW", b"SQ", b"UN"}
UNDEFINED = 0xFFFFFFFF
EOT = 0x7FE00001


@frozen(kw_only=True)
class Style:
    """One way of writing the instance that `write` writes."""

    syntax: str = ExplicitVRLittleEndian
    group_length: int | None = None
    sequence_undefined: bool = False
    item_undefined: bool = False
    sequence_unknown: bool = False
    public_unknown: bool = False
    private_unknown: bool = False
    pad: bytes = b" "
    pixel_vr: bytes = b"OB"
    pixel_pad: bytes = b"\0"
    trailing: bytes = b""
    zeros: int = 0
    level: int = 9
    fragments: tuple[int, ...] = (6,)
    basic_table: bool = False
    extended_table: bool = False

    @property
    def explicit(self) -> bool:
        return self.syntax != ImplicitVRLittleEndian

    @property
    def encapsulated(self) -> bool:
        return self.syntax == JPEGLSLossless


def element(style: Style, tag: int, vr: bytes, value: bytes, *, undefined: bool = False) -> bytes:
    order = ">" if style.syntax == ExplicitVRBigEndian else "<"
    head = pack(order + "HH", tag >> 16, tag & 0xFFFF)
    length = UNDEFINED if undefined else len(value)
    if not style.explicit:
        return head + pack(order + "L", length) + value
    if vr in LONG:
        return head + vr + pack(order + "HL", 0, length) + value
    return head + vr + pack(order + "H", length) + value


def structure(style: Style, tag: int, length: int) -> bytes:
    order = ">" if style.syntax == ExplicitVRBigEndian else "<"
    return pack(order + "HHL", tag >> 16, tag & 0xFFFF, length)


def sequence(style: Style, tag: int, vr: bytes, inner: bytes) -> bytes:
    length = UNDEFINED if style.item_undefined else len(inner)
    item = structure(style, 0xFFFEE000, length) + inner
    item += structure(style, 0xFFFEE00D, 0) if style.item_undefined else b""
    end = structure(style, 0xFFFEE0DD, 0) if style.sequence_undefined else b""
    return element(style, tag, vr, item + end, undefined=style.sequence_undefined)


def pixels(style: Style) -> bytes:
    order = ">" if style.syntax == ExplicitVRBigEndian else "<"
    if style.encapsulated:
        table = pack("<L", 0) if style.basic_table else b""
        parts, begin = structure(style, 0xFFFEE000, len(table)) + table, 0
        for size in style.fragments:
            parts += structure(style, 0xFFFEE000, size) + bytes(range(begin, begin + size))
            begin += size
        parts += structure(style, 0xFFFEE0DD, 0)
        extended = element(style, EOT, b"OB", bytes(8)) if style.extended_table else b""
        return extended + element(style, 0x7FE00010, style.pixel_vr, parts, undefined=True)
    value = b"\1\2\3" + style.pixel_pad
    if order == ">" and style.pixel_vr == b"OW":
        value = value[1::-1] + value[:1:-1]
    return element(style, 0x7FE00010, style.pixel_vr, value)


def write(style: Style) -> bytes:
    """A secondary capture of three pixels with a sequence, private elements and text of an odd length."""
    order = ">" if style.syntax == ExplicitVRBigEndian else "<"
    public = b"UN" if style.public_unknown else b"LO"
    private = b"UN" if style.private_unknown else b"LO"
    words = {0x00280010: 1, 0x00280011: 3, 0x00280100: 8, 0x00280101: 8, 0x00280102: 7, 0x00280103: 0}
    size = b"" if style.group_length is None else element(
        style, 0x00080000, b"UL", pack(order + "L", style.group_length)
    )  # fmt: skip
    data = size + b"".join(
        [
            element(style, 0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0"),
            element(style, 0x00080018, b"UI", b"1.2.3.4\0"),
            element(style, 0x00081030, public, b"odd" + style.pad),
            sequence(
                style,
                0x00081140,
                b"UN" if style.sequence_unknown else b"SQ",
                element(style, 0x00081155, b"UI", b"1.2.3.5\0"),
            ),
            element(style, 0x00090010, private, b"ACME"),
            element(style, 0x00091001, private, b"kept"),
            element(style, 0x0020000D, b"UI", b"1.2.3.45"),
            element(style, 0x0020000E, b"UI", b"1.2.3.46"),
            element(style, 0x00280002, b"US", pack(order + "H", 1)),
            element(style, 0x00280004, b"CS", b"MONOCHROME2" + style.pad),
            *(element(style, tag, b"US", pack(order + "H", value)) for tag, value in words.items()),
            pixels(style),
            element(style, 0xFFFCFFFC, b"OB", style.trailing) if style.trailing else b"",
            bytes(style.zeros),
        ]
    )
    if style.syntax == DeflatedExplicitVRLittleEndian:
        deflater = zlib.compressobj(style.level, wbits=-zlib.MAX_WBITS)
        data = deflater.compress(data) + deflater.flush()
        data += bytes(len(data) % 2)
    uid = style.syntax.encode() + b"\0" * (len(style.syntax) % 2)
    meta = b"\2\0\x10\0UI" + pack("<H", len(uid)) + uid
    return bytes(128) + b"DICM" + b"\2\0\0\0UL\4\0" + pack("<L", len(meta)) + meta + data


def expected(a: Style, b: Style) -> set[EncodingClass]:
    """What a change of style is called."""
    found = set()
    both_explicit = a.explicit and b.explicit
    if a.syntax != b.syntax:
        found.add(EncodingClass.TRANSFER_SYNTAX)
    if a.group_length != b.group_length:
        found.add(EncodingClass.GROUP_LENGTHS)
    if (a.sequence_undefined, a.item_undefined) != (b.sequence_undefined, b.item_undefined):
        found.add(EncodingClass.SEQUENCE_LENGTHS)
    stated = [(each.public_unknown, each.sequence_unknown, each.pixel_vr) for each in (a, b)]
    if both_explicit and stated[0] != stated[1]:
        found.add(EncodingClass.VALUE_REPRESENTATIONS)
    if both_explicit and a.private_unknown != b.private_unknown:
        found.add(EncodingClass.PRIVATE_REPRESENTATIONS)
    if a.pad != b.pad:
        found.add(EncodingClass.VALUE_PADDING)
    if (a.trailing, a.zeros) != (b.trailing, b.zeros):
        found.add(EncodingClass.TRAILING_PADDING)
    if a.encapsulated:
        if a.fragments != b.fragments:
            found.add(EncodingClass.FRAGMENTS)
        if (a.basic_table, a.extended_table) != (b.basic_table, b.extended_table):
            found.add(EncodingClass.OFFSET_TABLES)
    elif a.pixel_pad != b.pixel_pad:
        found.add(EncodingClass.PIXEL_PADDING)
    if not found and a.syntax == DeflatedExplicitVRLittleEndian and a.level != b.level:
        found.add(EncodingClass.DEFLATION)
    return found


ANY = st.builds(
    Style,
    syntax=st.sampled_from(
        [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
    ),
    group_length=st.none() | st.integers(0, 3),
    sequence_undefined=st.booleans(),
    item_undefined=st.booleans(),
    sequence_unknown=st.booleans(),
    public_unknown=st.booleans(),
    private_unknown=st.booleans(),
    pad=st.sampled_from([b" ", b"\0", b"", b"   "]),
    pixel_vr=st.sampled_from([b"OB", b"OW"]),
    pixel_pad=st.sampled_from([b"\0", b" "]),
    trailing=st.sampled_from([b"", b"\0\0", b"\0\1"]),
    zeros=st.sampled_from([0, 2]),
    level=st.sampled_from([0, 9]),
)
ENCAPSULATED = st.builds(
    evolve,
    ANY,
    syntax=st.just(JPEGLSLossless),
    fragments=st.sampled_from([(6,), (2, 4), (4, 2), (2, 2, 2)]),
    basic_table=st.booleans(),
    extended_table=st.booleans(),
)
PLAIN = Style()
JPEG = Style(syntax=JPEGLSLossless)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    return folder / "a.dcm", folder / "b.dcm"


def check(pair: tuple[Path, Path], a: Style, b: Style) -> None:
    for path, style in zip(pair, (a, b), strict=True):
        path.write_bytes(write(style))
    comparison = compare_files(*pair)
    classes = expected(a, b)
    assert comparison.rung is (Rung.EQUIVALENT if classes else Rung.HASHED)
    assert comparison.encoding == tuple(each for each in EncodingClass if each in classes)


@given(a=ANY, b=ANY)
@example(a=PLAIN, b=PLAIN)
@example(a=PLAIN, b=evolve(PLAIN, syntax=ImplicitVRLittleEndian))
@example(a=evolve(PLAIN, syntax=ExplicitVRBigEndian), b=PLAIN)
@example(a=PLAIN, b=evolve(PLAIN, group_length=1))
@example(a=PLAIN, b=evolve(PLAIN, sequence_undefined=True))
@example(a=PLAIN, b=evolve(PLAIN, item_undefined=True))
@example(a=PLAIN, b=evolve(PLAIN, public_unknown=True))
@example(a=PLAIN, b=evolve(PLAIN, sequence_unknown=True))
@example(a=PLAIN, b=evolve(PLAIN, private_unknown=True))
@example(a=PLAIN, b=evolve(PLAIN, pixel_vr=b"OW"))
@example(a=PLAIN, b=evolve(PLAIN, pad=b""))
@example(a=PLAIN, b=evolve(PLAIN, pixel_pad=b" "))
@example(a=PLAIN, b=evolve(PLAIN, trailing=b"\0\0"))
@example(a=PLAIN, b=evolve(PLAIN, zeros=2))
@example(a=evolve(PLAIN, syntax=ExplicitVRBigEndian, pixel_vr=b"OW"), b=evolve(PLAIN, pixel_vr=b"OW", pixel_pad=b" "))
@example(a=evolve(PLAIN, syntax=ExplicitVRBigEndian, group_length=2), b=evolve(PLAIN, group_length=2))
@example(
    a=evolve(PLAIN, syntax=DeflatedExplicitVRLittleEndian),
    b=evolve(PLAIN, syntax=DeflatedExplicitVRLittleEndian, level=0),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_exactly_what_differs_in_writing_an_instance_is_named(pair: tuple[Path, Path], a: Style, b: Style) -> None:
    check(pair, a, b)


@given(a=ENCAPSULATED, b=ENCAPSULATED)
@example(a=JPEG, b=JPEG)
@example(a=JPEG, b=evolve(JPEG, fragments=(2, 4)))
@example(a=JPEG, b=evolve(JPEG, basic_table=True))
@example(a=JPEG, b=evolve(JPEG, extended_table=True))
@example(a=JPEG, b=evolve(JPEG, pixel_vr=b"OW"))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_exactly_what_differs_in_writing_compressed_pixels_is_named(
    pair: tuple[Path, Path], a: Style, b: Style
) -> None:
    check(pair, a, b)


def test_a_difference_in_no_known_class_is_called_unexplained(pair: tuple[Path, Path]) -> None:
    data = write(PLAIN)
    reserved = data.index(b"\x08\0\x40\x11SQ\0\0") + 6  # the two bytes after a long VR (PS3.5 7.1.2)
    pair[0].write_bytes(data)
    pair[1].write_bytes(data[:reserved] + b"\1\0" + data[reserved + 2 :])
    comparison = compare_files(*pair)
    assert comparison.rung is Rung.EQUIVALENT
    assert comparison.encoding == (EncodingClass.UNEXPLAINED,)


def test_a_sequence_that_is_stated_as_of_unknown_vr_differs_in_its_vr(pair: tuple[Path, Path]) -> None:
    """Within such a value of undefined length the VRs are implied (PS3.5 6.2.2), so that they differ too."""
    data = write(evolve(PLAIN, sequence_undefined=True, item_undefined=True))
    stated = b"\x08\0\x55\x11UI\x08\0"
    pair[0].write_bytes(data)
    pair[1].write_bytes(
        data.replace(b"\x08\0\x40\x11SQ", b"\x08\0\x40\x11UN").replace(stated, stated[:4] + pack("<L", 8))
    )
    assert pair[0].read_bytes() != pair[1].read_bytes()
    assert compare_files(*pair).encoding == (EncodingClass.VALUE_REPRESENTATIONS,)


def test_fragments_of_another_element_do_not_make_native_pixels_compressed(tmp_path: Path) -> None:
    parts = (
        structure(PLAIN, 0xFFFEE000, 0) + structure(PLAIN, 0xFFFEE000, 2) + b"\1\2" + structure(PLAIN, 0xFFFEE0DD, 0)
    )
    icon = element(PLAIN, 0x00091002, b"OB", parts, undefined=True)
    data = write(PLAIN)
    at = data.index(b"\x20\0\x0d\0UI")
    path = tmp_path / "icon.dcm"
    path.write_bytes(data[:at] + icon + data[at:])
    found = encoding_of(path)
    assert (found.fragments, found.offset_tables) == ("", "")
    assert found.native


def saved(ds: pydicom.FileDataset, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = io.BytesIO()
        ds.save_as(buffer)
    path.write_bytes(buffer.getvalue())
    return path


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("CT_small.dcm", ImplicitVRLittleEndian),
        ("MR_small.dcm", ImplicitVRLittleEndian),
        ("rtplan.dcm", ExplicitVRLittleEndian),
        ("rtplan.dcm", ExplicitVRBigEndian),
        ("reportsi.dcm", ImplicitVRLittleEndian),
        ("reportsi.dcm", ExplicitVRBigEndian),
    ],
)
def test_a_real_object_that_pydicom_writes_in_another_syntax_differs_in_its_syntax_alone(
    wheel: Path, tmp_path: Path, name: str, syntax: str
) -> None:
    before = saved(pydicom.dcmread(wheel / name), tmp_path / "before.dcm")
    ds = pydicom.dcmread(before)
    assert ds.file_meta.TransferSyntaxUID != syntax
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        pydicom.dcmwrite(buffer, ds, implicit_vr=implicit, little_endian=little, force_encoding=True)
    after = tmp_path / "after.dcm"
    after.write_bytes(buffer.getvalue())
    comparison = compare_files(before, after)
    assert (comparison.rung, comparison.encoding) == (Rung.EQUIVALENT, (EncodingClass.TRANSFER_SYNTAX,))


def test_fragments_and_offset_tables_that_pydicom_writes_are_told_apart(wheel: Path, tmp_path: Path) -> None:
    ds = pydicom.dcmread(wheel / "JPEG2000.dcm")
    frame = b"".join(generate_fragments(ds.PixelData))
    ds.PixelData = encapsulate([frame], has_bot=False)
    before = saved(ds, tmp_path / "before.dcm")

    def told(**how: object) -> tuple[EncodingClass, ...]:
        ds.PixelData = encapsulate([frame], **how)  # type: ignore[arg-type]
        return compare_files(before, saved(ds, tmp_path / "after.dcm")).encoding

    assert told(has_bot=True) == (EncodingClass.OFFSET_TABLES,)
    assert told(has_bot=False, fragments_per_frame=4) == (EncodingClass.FRAGMENTS,)


def test_lossless_compression_differs_in_the_transfer_syntax(wheel: Path, tmp_path: Path) -> None:
    ds = pydicom.dcmread(wheel / "MR_small.dcm")
    before = saved(ds, tmp_path / "before.dcm")
    ds.compress(RLELossless, generate_instance_uid=False)
    comparison = compare_files(before, saved(ds, tmp_path / "after.dcm"))
    assert (comparison.rung, comparison.encoding) == (Rung.EQUIVALENT, (EncodingClass.TRANSFER_SYNTAX,))


def test_planar_configuration_that_follows_the_syntax_is_named(wheel: Path, tmp_path: Path) -> None:
    ds = pydicom.dcmread(wheel / "SC_rgb_small_odd.dcm")
    before = saved(ds, tmp_path / "before.dcm")
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.PlanarConfiguration = 1
    comparison = compare_files(before, saved(ds, tmp_path / "after.dcm"))
    assert comparison.encoding == (EncodingClass.TRANSFER_SYNTAX, EncodingClass.PIXEL_DESCRIPTION)


def test_where_an_encoding_is_not_on_record_only_what_else_shows_is_told(tmp_path: Path) -> None:
    def entry(style: Style, *, encoding: bool) -> ManifestEntry:
        path = tmp_path / "object.dcm"
        path.write_bytes(write(style))
        return entry_of(path, examine_file(path), encoding=encoding)

    known, padded = entry(PLAIN, encoding=True), evolve(PLAIN, pad=b"\0")
    assert encoding_classes(known, entry(padded, encoding=False)) == ()
    implicit = evolve(padded, syntax=ImplicitVRLittleEndian)
    assert encoding_classes(known, entry(implicit, encoding=False)) == (EncodingClass.TRANSFER_SYNTAX,)
    assert encoding_classes(known, known) == ()
    both = (EncodingClass.TRANSFER_SYNTAX, EncodingClass.VALUE_PADDING)
    assert encoding_classes(known, entry(implicit, encoding=True)) == both
