"""What is written to standard output."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.cli.looking import comparison_lines
from vna_lifecycle.cli.output import print_json, read_file, safe, write_file
from vna_lifecycle.engine.compare import ArchiveComparison, Difference
from vna_lifecycle.errors import StorageError


@given(st.text())
def test_nothing_from_an_archive_can_steer_the_terminal(text: str) -> None:
    shown = safe(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


def test_escape_sequences_stay_visible() -> None:
    assert safe("1.2\x1b[2J\n\u202e") == "1.2\\x1b[2J\\n\\u202e"


@given(st.dictionaries(st.text(), st.text(alphabet=st.characters())))
def test_json_survives_any_text_in_any_encoding(value: dict[str, str]) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        print_json(value)
    stream.seek(0)
    assert json.loads(stream.read()) == value


def test_a_file_that_cannot_be_read_or_written_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    for path in (tmp_path / "nowhere", tmp_path / "binary", tmp_path):
        with pytest.raises(StorageError) as caught:
            read_file(path)
        assert caught.value.path == path
    with pytest.raises(StorageError):
        write_file(tmp_path / "nowhere" / "file", "text")


def test_pixels_alone_that_differ_are_told_without_an_empty_list_of_attributes() -> None:
    differ = (Difference(sop_instance_uid="1.2", pixels=False, attributes=()),)
    result = ArchiveComparison(match=0, hashed=0, re_encoded=(), missing=(), extra=(), differ=differ, refused=())
    assert "  differs: 1.2 (pixels differ, or could not be compared)" in comparison_lines(result)
