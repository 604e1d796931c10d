"""Complete lists as CSV (RFC 4180) for spreadsheets: UTF-8 with a byte order mark, which Excel needs to know it.

A cell never becomes a formula, whatever it holds: text that a spreadsheet would calculate gets an apostrophe before it
(OWASP, CSV Injection). Rows are streamed: a table may be larger than memory.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from vna_lifecycle.reporting.facts import Facts, FindingRow, StudyPath
from vna_lifecycle.reporting.files import replacing
from vna_lifecycle.reporting.words import printable

_FORMULA: Final = tuple("=+-@|%\uff1d\uff0b\uff0d\uff20")
"""How a formula can begin, full-width forms included; tabs and line ends have been made visible before."""

WAVES: Final = ("wave", "studies", "instances", "bytes", "imported_studies", "ready_studies", "ready", "why_not_ready")
STUDIES: Final = ("study_instance_uid", "study", "wave", "state", "why", "path")
FINDINGS: Final = (
    "finding",
    "severity",
    "kind",
    "check",
    "wave",
    "study_instance_uid",
    "study",
    "standing",
    "message",
    "what_to_do",
    "object",
)


def cell(value: str | int | bool) -> str:
    """A value as it may stand in a cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    text = printable(value)
    return f"'{text}" if text.lstrip(" '\"").startswith(_FORMULA) else text


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[str | int | bool]]) -> int:
    """Write a table, and say how many rows it has.

    Raises:
        StorageError: it cannot be written; what was there is as it was.
    """
    count = 0
    with replacing(path, encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([cell(value) for value in row])
            count += 1
    return count


def wave_rows(facts: Facts) -> Iterator[tuple[str | int | bool, ...]]:
    """One row for each wave."""
    for wave in facts.waves:
        told = (wave.name, wave.studies, wave.instances, wave.size, wave.imported, wave.usable)
        yield (*told, wave.ready, "; ".join(wave.reasons))


def study_rows(studies: Iterable[StudyPath]) -> Iterator[tuple[str, ...]]:
    """One row for each study, its path as states with their times."""
    for study in studies:
        path = " > ".join(f"{step.state} {step.time}" for step in study.steps)
        yield study.study_uid, study.study, study.wave, study.state, study.why, path


def finding_rows(findings: Iterable[FindingRow]) -> Iterator[tuple[str | int, ...]]:
    """One row for each object of each finding, so that no cell outgrows a spreadsheet; one for a finding of none."""
    for row in findings:
        told = (row.number, row.severity, row.kind, row.check, row.wave, row.study_uid, row.study, row.standing)
        for name in row.objects or ("",):
            yield (*told, row.message, row.remedy, name)
