"""What a source's own database says of its studies, from a CSV extract of it.

RFC 4180 with a header line, in UTF-8 (a byte order mark is allowed), separated by comma, semicolon, tab or bar. A file
whose columns or quotation marks cannot be trusted is refused as a whole, with the line; what is wrong with one line is
told as a flaw, and the others count.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from attrs import field, frozen

from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.model.identity import PatientKey, StudyUID
from vna_lifecycle.ports import TruthFlaw, TruthRecord

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "study_uid": ("StudyInstanceUID", "study_iuid", "study"),
    "patient_id": ("PatientID", "pat_id", "pid", "mrn"),
    "issuer": ("IssuerOfPatientID", "patient_id_issuer", "pat_id_issuer", "assigning_authority"),
    "accession": ("AccessionNumber", "accession_no"),
    "patient_name": ("PatientName", "PatientsName", "pat_name", "name"),
    "study_date": ("StudyDate", "date"),
    "series": ("NumberOfStudyRelatedSeries", "series_count", "num_series"),
    "instances": ("NumberOfStudyRelatedInstances", "instance_count", "num_instances", "images"),
    "deleted": ("is_deleted",),
    "hidden": ("is_hidden",),
}
"""The columns, each with other names that are understood. Case, spaces and punctuation in names make no difference."""

REQUIRED: Final = ("study_uid", "patient_id")
LONGEST_LINE: Final = 1 << 20
"""Bytes. A longer line is no line of an extract; it would have to be held in memory."""

_DELIMITERS: Final = ",;\t|"
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_DATE: Final = re.compile(r"(\d{4})-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?:[T ].*)?", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_YES: Final = frozenset({"1", "true", "t", "yes", "y"})
_NO: Final = frozenset({"", "0", "false", "f", "no", "n"})


@frozen
class TruthExtract:
    """The extract at ``path``, read anew at each call. ``setting`` is where program.toml names it."""

    path: Path
    setting: str

    def truth(self) -> Iterator[TruthRecord | TruthFlaw]:
        """Every line of the extract, in order.

        Raises:
            ConfigurationError: the file cannot be used as a whole; nothing of it must count.
        """
        try:
            with self.path.open("rb") as file:
                rows = csv.reader(self._lines(file), delimiter=self._delimiter(file), strict=True)
                yield from self._records(rows)
        except OSError as exc:
            raise self._refusal("", f"cannot be read ({exc.strerror})") from exc

    def columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the columns that are used, and of those in the file that are not.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        try:
            with self.path.open("rb") as file:
                rows = csv.reader(self._lines(file), delimiter=self._delimiter(file), strict=True)
                names = self._header(rows)
        except OSError as exc:
            raise self._refusal("", f"cannot be read ({exc.strerror})") from exc
        known = [_column(name) for name in names]
        return (
            tuple(column for column in known if column),
            tuple(name for name, column in zip(names, known, strict=True) if not column),
        )

    def _records(self, rows: Reader) -> Iterator[TruthRecord | TruthFlaw]:
        names = self._header(rows)
        places = {column: number for number, name in enumerate(names) if (column := _column(name))}
        for first, row in self._rows(rows):
            place = f"line {first}"
            if len(row) != len(names):
                message = f"has {len(row)} fields, the header has {len(names)}"
                yield TruthFlaw(place=place, code="wrong-field-count", message=message)
                continue
            yield from _read(place, {column: row[number].strip(" ") for column, number in places.items()})

    def _header(self, rows: Reader) -> list[str]:
        line, names = next(self._rows(rows), (1, []))
        where = f"line {line}"
        if not names:
            raise self._refusal("", "is empty: it must begin with a line of column names")
        columns = [column for name in names if (column := _column(name))]
        if missing := [name for name in REQUIRED if name not in columns]:
            raise self._refusal(where, f"has no column {' and no column '.join(missing)}; it has {_known(names)}")
        if twice := sorted({column for column in columns if columns.count(column) > 1}):
            raise self._refusal(where, f"has more than one column for {', '.join(twice)}; it has {_known(names)}")
        return names

    def _rows(self, rows: Reader) -> Iterator[tuple[int, list[str]]]:
        """Each row that is not empty, with the number of its first line."""
        while True:
            first = rows.line_num + 1
            try:
                row = next(rows, None)
            except csv.Error as exc:
                # Where quotation marks do not match, nobody knows which lines were swallowed.
                raise self._refusal(f"line {first}", f"quotation marks or fields cannot be told apart ({exc})") from exc
            if row is None:
                return
            if any(row):
                yield first, row

    def _delimiter(self, file: BinaryIO) -> str:
        """The separator by which the first line names most columns."""
        start = file.read(LONGEST_LINE)
        file.seek(0)
        if b"\0" in start[:64]:
            raise self._refusal("line 1", "is not UTF-8 but UTF-16, or no text at all")
        lines = [line for line in start.decode("utf-8-sig", "replace").splitlines() if line.strip()]
        header = lines[0] if lines else ""

        def named(delimiter: str) -> int:
            return sum(1 for name in header.split(delimiter) if _column(name.strip('"')))

        return max(_DELIMITERS, key=named)

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        number = 0
        while raw := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(raw) > LONGEST_LINE:
                raise self._refusal(f"line {number}", f"is longer than {LONGEST_LINE:,} bytes")
            try:
                yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as exc:
                raise self._refusal(f"line {number}", f"byte {exc.start + 1} is not UTF-8") from None

    def _refusal(self, where: str, what: str) -> ConfigurationError:
        place = f"{where} " if where else ""
        return ConfigurationError(
            f"the truth extract {self.path.name} cannot be used: {place}{what}",
            problems=((self.setting, f"{place}{what}"),),
            hint="Extract it again as CSV in UTF-8, with a line of column names (see the reference: truth extract)",
        )


@frozen
class _Row:
    """One row's fields by column, and what is wrong with them."""

    place: str
    fields: Mapping[str, str]
    flaws: list[TruthFlaw] = field(factory=list)

    def text(self, column: str) -> str:
        value = self.fields.get(column, "")
        if _CONTROL.search(value):
            self._flaw(column, "control-character", "holds control characters")
            return ""
        return value

    def number(self, column: str) -> int | None:
        value = self.text(column)
        if _NUMBER.fullmatch(value):
            return int(value)
        if value:
            self._flaw(column, "bad-number", "is no count")
        return None

    def date(self, column: str) -> str:
        value = self.text(column)
        if match := _DATE.fullmatch(value):
            return "".join(match.groups())
        if value:
            self._flaw(column, "bad-date", "is neither YYYYMMDD nor YYYY-MM-DD")
        return ""

    def flag(self, column: str) -> bool:
        value = self.text(column).casefold()
        if value not in _YES | _NO:
            self._flaw(column, "bad-flag", "is neither yes nor no (1 and 0, true and false, yes and no)")
        return value in _YES

    def _flaw(self, column: str, code: str, what: str) -> None:
        self.flaws.append(
            TruthFlaw(
                place=self.place,
                code=code,
                message=f"{column} {what}",
                study_uid=self.fields["study_uid"],
                used=True,
            )
        )


def _read(place: str, fields: Mapping[str, str]) -> Iterator[TruthRecord | TruthFlaw]:
    uid = fields["study_uid"].rstrip("\0")
    if not uid:
        yield TruthFlaw(place=place, code="no-study-uid", message="has no study_uid")
        return
    if len(uid) > 64 or not _UID.fullmatch(uid):
        message = "study_uid is no UID: digits and full stops, 64 at most"
        yield TruthFlaw(place=place, code="bad-study-uid", message=message, study_uid=uid)
        return
    row = _Row(place, {**fields, "study_uid": uid})
    yield TruthRecord(
        study_uid=StudyUID(uid),
        patient=PatientKey(issuer=row.text("issuer"), id=row.text("patient_id")),
        accession_number=row.text("accession"),
        patient_name=row.text("patient_name"),
        study_date=row.date("study_date"),
        series_count=row.number("series"),
        instance_count=row.number("instances"),
        deleted=row.flag("deleted"),
        hidden=row.flag("hidden"),
        place=place,
    )
    yield from row.flaws


def _column(name: str) -> str:
    """The column that a name in the header means; ``""``: none of ours."""
    return _NAMES.get(_plain(name), "")


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


_NAMES: Final = {_plain(name): column for column, others in COLUMNS.items() for name in (column, *others)}


def _known(names: Sequence[str]) -> str:
    """What of a header can be told: where there is none, its first line is of a patient."""
    known = [ascii(name[:40]) for name in names if _column(name)]
    others = len(names) - len(known)
    strangers = f"{others} that no column is known by" if others else ""
    return " and ".join(filter(None, (", ".join(known[:20]), strangers)))
