"""CSV tables: complete, streamed, and never a formula."""

from __future__ import annotations

import csv
import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.reporting.hostile import EVERYTHING, FORMULAS
from unit.reporting.synthetic import REALISTIC, STUDIES
from vna_lifecycle.errors import StorageError
from vna_lifecycle.reporting import tables
from vna_lifecycle.reporting.facts import FindingRow


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def calculated(cell: str) -> bool:
    """Whether a spreadsheet would calculate a cell: by its first character, blanks and quotes passed over."""
    return cell.lstrip(' \t\r\n"').startswith(("=", "+", "-", "@", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20"))


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str, tmp_path: Path) -> None:
    tables.write_table(tmp_path / "t.csv", ["a"], [[text], [text * 2]])
    assert not any(calculated(cell) for row in rows(tmp_path / "t.csv") for cell in row)


@given(st.text())
def test_no_text_at_all_is_a_formula_or_breaks_a_line(text: str) -> None:
    told = tables.cell(text)
    assert not calculated(told)
    assert told.isprintable()


def test_hostile_text_stays_in_its_cell(tmp_path: Path) -> None:
    tables.write_table(tmp_path / "t.csv", ["a", "b"], ([text, "end"] for text in EVERYTHING))
    found = rows(tmp_path / "t.csv")
    assert len(found) == len(EVERYTHING) + 1
    assert all(len(row) == 2 and row[1] == "end" for row in found[1:])


def test_a_table_is_known_as_utf_8_to_spreadsheets(tmp_path: Path) -> None:
    tables.write_table(tmp_path / "t.csv", ["a"], [["放射線科"]])
    assert (tmp_path / "t.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert rows(tmp_path / "t.csv")[1] == ["放射線科"]


def test_uids_and_numbers_are_as_they_are(tmp_path: Path) -> None:
    count = tables.write_table(tmp_path / "t.csv", tables.STUDIES, tables.study_rows(STUDIES))
    assert count == len(STUDIES)
    found = rows(tmp_path / "t.csv")
    assert found[0] == list(tables.STUDIES)
    assert found[1][0] == STUDIES[0].study_uid
    assert found[1][5] == "planned 2026-04-01T09:30:00.000000Z > held 2026-04-01T10:30:00.000000Z"


def test_the_waves_are_there_with_imported_and_ready(tmp_path: Path) -> None:
    tables.write_table(tmp_path / "t.csv", tables.WAVES, tables.wave_rows(REALISTIC))
    pilot, rest = rows(tmp_path / "t.csv")[1:]
    assert pilot[:7] == ["pilot", "180", "38412", "21400000000", "180", "180", "yes"]
    assert rest[4:7] == ["2409", "0", "no"]
    assert "1 study held back" in rest[7]


def test_each_object_of_a_finding_has_its_row_and_a_finding_of_none_has_one() -> None:
    row = FindingRow(
        number=1, severity="note", kind="k", check="c", wave="", study_uid="1.2", study="s", standing="open",
        message="m", remedy="r", objects=("1.2.3", "1.2.4"),
    )  # fmt: skip
    assert [cells[-1] for cells in tables.finding_rows([row])] == ["1.2.3", "1.2.4"]
    bare = FindingRow(
        number=1, severity="note", kind="k", check="c", wave="", study_uid="", study="", standing="open",
        message="m", remedy="r",
    )  # fmt: skip
    assert [cells[-1] for cells in tables.finding_rows([bare])] == [""]


def test_a_table_that_breaks_off_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    tables.write_table(path, ["a"], [["old"]])

    def breaking() -> Iterator[list[str]]:
        yield ["new"]
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        tables.write_table(path, ["a"], breaking())
    assert rows(path) == [["a"], ["old"]]
    assert [each.name for each in tmp_path.iterdir()] == ["t.csv"]


def test_a_folder_that_is_not_there_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        tables.write_table(tmp_path / "no" / "t.csv", ["a"], [])
    assert caught.value.path == tmp_path / "no" / "t.csv"


def test_a_table_is_never_in_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        tables.write_table(tmp_path / "t.csv", ["a"], (["x" * 1_000] for _ in itertools.repeat(None, 20_000)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
