"""An extract of the source's database: read as it is meant, refused where it cannot be trusted, flawed lines told."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.adapters.truth_extract import COLUMNS, LONGEST_LINE, TruthExtract
from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.model.identity import PatientKey, StudyUID
from vna_lifecycle.ports import TruthFlaw, TruthRecord

HEADER = "study_uid,patient_id,issuer,accession,patient_name,study_date,series,instances,deleted,hidden"


def extract(tmp_path: Path, text: str | bytes) -> TruthExtract:
    path = tmp_path / "truth.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return TruthExtract(path, "sources.old.truth")


def read(tmp_path: Path, text: str | bytes) -> tuple[list[TruthRecord], list[TruthFlaw]]:
    items = list(extract(tmp_path, text).truth())
    return (
        [item for item in items if isinstance(item, TruthRecord)],
        [item for item in items if isinstance(item, TruthFlaw)],
    )


def refusal(tmp_path: Path, text: str | bytes) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        list(extract(tmp_path, text).truth())
    assert caught.value.problems[0][0] == "sources.old.truth"
    return caught.value


def test_a_line_says_what_the_database_says(tmp_path: Path) -> None:
    records, flaws = read(tmp_path, f"{HEADER}\n1.2.3,4711,HOSP-A,A-9,DOE^JANE,2020-02-01,2,30,0,yes\n")
    assert flaws == []
    assert records == [
        TruthRecord(
            study_uid=StudyUID("1.2.3"),
            patient=PatientKey(issuer="HOSP-A", id="4711"),
            accession_number="A-9",
            patient_name="DOE^JANE",
            study_date="20200201",
            series_count=2,
            instance_count=30,
            deleted=False,
            hidden=True,
            place="line 2",
        )
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_marks_and_line_ends_are_found_out(tmp_path: Path, delimiter: str, mark: bytes, end: str) -> None:
    name = 'Müller;, | "Jo"'
    lines = [["Study Instance UID", "PatientID", "Pat Name"], ["1.2", "0815", name]]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(lines)
    records, flaws = read(tmp_path, mark + out.getvalue().encode())
    assert flaws == []
    assert [(item.study_uid, item.patient.id, item.patient_name) for item in records] == [("1.2", "0815", name)]


def test_a_byte_order_mark_does_not_disturb_quotation_marks(tmp_path: Path) -> None:
    records, flaws = read(tmp_path, b'\xef\xbb\xbf"study_uid","patient_id"\n"1.2","7"\n')
    assert [(item.study_uid, item.patient.id) for item in records] == [("1.2", "7")]
    assert flaws == []


def test_every_other_name_of_a_column_means_it_whatever_its_case(tmp_path: Path) -> None:
    for column, others in COLUMNS.items():
        for name in others:
            required = [each for each in ("study_uid", "patient_id") if each != column]
            shouted = name.replace("_", " ").upper()
            used, unused = extract(tmp_path, ",".join([*required, shouted, "Ward"])).columns()
            assert used == (*required, column)
            assert unused == ("Ward",)


def test_what_is_not_said_is_not_known(tmp_path: Path) -> None:
    records, flaws = read(tmp_path, "study_uid,patient_id\n1.2,\n\n  1.3  ,7\n")
    assert flaws == []
    assert records == [
        TruthRecord(study_uid=StudyUID("1.2"), patient=PatientKey(issuer="", id=""), place="line 2"),
        TruthRecord(study_uid=StudyUID("1.3"), patient=PatientKey(issuer="", id="7"), place="line 4"),
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("study_uid,name\n1.2,x\n", "line 1 has no column patient_id; it has 'study_uid', 'name'"),
        ("1.2,D\u00f6e^Jane\n1.3,y\n", "no column patient_id; it has 2 that no column is known by"),
        ("a,b\n1.2,x\n", "line 1 has no column study_uid and no column patient_id"),
        ("study_uid,patient_id,mrn\n1.2,x,y\n", "line 1 has more than one column for patient_id"),
        (b"study_uid,patient_id\n1.2,x\n1.3,M\xfcller\n", "line 3 byte 6 is not UTF-8"),
        ("study_uid,patient_id\n".encode("utf-16"), "line 1 is not UTF-8 but UTF-16"),
        ("study_uid,patient_id\n".encode("utf-16-le"), "line 1 is not UTF-8 but UTF-16"),
        ('study_uid,patient_id\n1.2,"x\n1.3,y\n', "line 2 quotation marks or fields cannot be told apart"),
        ('study_uid,patient_id\n1.2,a\n1.2,"x"y\n1.3,y\n', "line 3 quotation marks or fields cannot be told apart"),
        (f"study_uid,patient_id\n1.2,{'x' * 200_000}\n", "line 2 quotation marks or fields cannot be told apart"),
        (f"study_uid,patient_id\n1.2,x\n{'y' * (LONGEST_LINE + 1)}", "line 3 is longer than 1,048,576 bytes"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_as_a_whole(tmp_path: Path, text: str | bytes, what: str) -> None:
    error = refusal(tmp_path, text)
    assert what in error.problems[0][1]
    assert what in str(error)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        list(TruthExtract(tmp_path / "absent.csv", "sources.old.truth").truth())
    with pytest.raises(ConfigurationError, match="cannot be read"):
        TruthExtract(tmp_path / "absent.csv", "sources.old.truth").columns()


@pytest.mark.parametrize(
    ("line", "code", "used"),
    [
        ("1.2,7,H,A,N,20200101,2,3,0", "wrong-field-count", False),
        ("1.2,7,H,A,N,20200101,2,3,0,0,more", "wrong-field-count", False),
        (",7,H,A,N,20200101,2,3,0,0", "no-study-uid", False),
        ("1.2.x,7,H,A,N,20200101,2,3,0,0", "bad-study-uid", False),
        (f"1.{'2' * 63},7,H,A,N,20200101,2,3,0,0", "bad-study-uid", False),
        ("1.2\u0663,7,H,A,N,20200101,2,3,0,0", "bad-study-uid", False),
        ("1.2,7,H,A,N,20200101,two,3,0,0", "bad-number", True),
        ("1.2,7,H,A,N,20200101,-2,3,0,0", "bad-number", True),
        ("1.2,7,H,A,N,20200101,2,3e9,0,0", "bad-number", True),
        ("1.2,7,H,A,N,20200101,2,9999999999,0,0", "bad-number", True),
        ("1.2,7,H,A,N,1.2.2020,2,3,0,0", "bad-date", True),
        ("1.2,7,H,A,N,20201301,2,3,0,0", "bad-date", True),
        ("1.2,7,H,A,N,20200101,2,3,maybe,0", "bad-flag", True),
        ("1.2,7,H,A,N,20200101,2,3,0,2", "bad-flag", True),
        ("1.2,7\0,H,A,N,20200101,2,3,0,0", "control-character", True),
        ('1.2,7,H,A,"N\nM",20200101,2,3,0,0', "control-character", True),
    ],
)
def test_what_is_wrong_with_a_line_is_told_with_its_number_and_the_others_count(
    tmp_path: Path, line: str, code: str, used: bool
) -> None:
    records, flaws = read(tmp_path, f"{HEADER}\n1.1,6,H,A,N,20200101,2,3,0,0\n{line}\n1.3,8,H,A,N,20200101,2,3,1,0\n")
    assert [(flaw.code, flaw.place, flaw.used) for flaw in flaws] == [(code, "line 3", used)]
    assert [record.study_uid for record in records] == ["1.1", *(["1.2"] if used else []), "1.3"]
    assert not records[1].deleted or not used
    assert records[-1].deleted


def test_a_flaw_does_not_repeat_the_value(tmp_path: Path) -> None:
    _, flaws = read(tmp_path, f"{HEADER}\n1.2,7,H,A,N,CANARY,CANARY,CANARY,CANARY,CANARY\n")
    assert len(flaws) == 5
    assert not any("CANARY" in flaw.message for flaw in flaws)


@given(
    rows=st.lists(
        st.tuples(
            st.from_regex(r"[1-9](\.[1-9][0-9]{0,5}){1,8}", fullmatch=True),
            st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20).map(lambda text: text.strip(" ")),
            st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20).map(lambda text: text.strip(" ")),
        ),
        max_size=20,
    ),
    delimiter=st.sampled_from(",;\t|"),
)
def test_what_csv_writes_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([("study_uid", "patient_id", "patient_name"), *rows])
    records, flaws = read(tmp_path_factory.mktemp("extract"), out.getvalue())
    assert flaws == []
    assert [(item.study_uid, item.patient.id, item.patient_name) for item in records] == rows
