"""Text decodes as pydicom decodes it, for every character set and any bytes."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import TEXT_VR_DELIMS

from vna_lifecycle.dicom.charset import codecs_of, decode

TERMS = [
    "", "ISO_IR 6", "ISO_IR 13", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 126", "ISO_IR 127",
    "ISO_IR 138", "ISO_IR 144", "ISO_IR 148", "ISO_IR 166", "ISO_IR 192", "GB18030", "GBK", "ISO 2022 IR 6",
    "ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 100", "ISO 2022 IR 101", "ISO 2022 IR 109", "ISO 2022 IR 110",
    "ISO 2022 IR 126", "ISO 2022 IR 127", "ISO 2022 IR 138", "ISO 2022 IR 144", "ISO 2022 IR 148", "ISO 2022 IR 149",
    "ISO 2022 IR 159", "ISO 2022 IR 166", "ISO 2022 IR 58", "ISO-IR 100", "ISO IR 192", "ISO 2022-IR 87", "nonsense",
]  # fmt: skip
ESCAPES = [
    b"\x1b(B", b"\x1b-A", b"\x1b)I", b"\x1b(J", b"\x1b$B", b"\x1b-B", b"\x1b-C", b"\x1b-D", b"\x1b-F", b"\x1b-G",
    b"\x1b-H", b"\x1b-L", b"\x1b-M", b"\x1b-T", b"\x1b$)C", b"\x1b$(D", b"\x1b$)A", b"\x1b", b"\x1b$", b"\x1bZ",
]  # fmt: skip
PIECES = st.one_of(
    st.sampled_from(ESCAPES),
    st.binary(max_size=6),
    st.sampled_from([b"\r\n", b"^", b"=", b"\t", b"\x0c", b"Yamada"]),
    st.binary(min_size=2, max_size=2).map(lambda raw: bytes(0x21 + byte % 94 for byte in raw)),
    st.binary(min_size=2, max_size=2).map(lambda raw: bytes(0xA1 + byte % 94 for byte in raw)),
)


def _agrees(terms: list[str], raw: bytes) -> None:
    if b"\x1b$)A" in raw and "ISO 2022 IR 58" in terms:
        return  # pydicom leaves this escape sequence in the text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = decode_bytes(raw, convert_encodings(terms), TEXT_VR_DELIMS)
    assert decode(raw, codecs_of("\\".join(terms))) == expected


@given(st.lists(st.sampled_from(TERMS), min_size=1, max_size=3), st.lists(PIECES, max_size=6).map(b"".join))
@example(["", "ISO 2022 IR 87"], b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B")
@example(["ISO 2022 IR 13", "ISO 2022 IR 87"], b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J")
@example(["", "ISO 2022 IR 149"], b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7")
@example(["ISO_IR 192", "ISO 2022 IR 87"], b"\x1b$B;3\xc3\xbc")
@settings(max_examples=800)
def test_any_bytes_in_any_character_sets_decode_as_pydicom_decodes_them(terms: list[str], raw: bytes) -> None:
    _agrees(terms, raw)


@pytest.mark.soak
@given(st.lists(st.sampled_from(TERMS), min_size=1, max_size=4), st.lists(PIECES, max_size=10).map(b"".join))
@settings(max_examples=50_000)
def test_fifty_thousand_values_decode_as_pydicom_decodes_them(terms: list[str], raw: bytes) -> None:
    _agrees(terms, raw)


@pytest.mark.parametrize("term", TERMS)
def test_ascii_is_the_same_in_every_character_set(term: str) -> None:
    text = bytes(range(0x20, 0x7F))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert text.decode(convert_encodings(term)[0]) == text.decode() == decode(text, codecs_of(term))


def test_simplified_chinese_loses_its_escape_sequences() -> None:
    raw = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="  # PS3.5 K.2
    assert decode(raw, codecs_of("\\ISO 2022 IR 58")) == "Zhang^XiaoDong=\u5f20^\u5c0f\u4e1c="
