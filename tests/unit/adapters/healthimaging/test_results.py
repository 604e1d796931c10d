"""Every staged file is in exactly one of success, failure or unaccounted, whatever the result files hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.adapters.healthimaging import results
from vna_lifecycle.adapters.healthimaging.results import (
    FOREIGN,
    Report,
    failure_code,
    read_report,
    reconcile,
    warning_code,
)
from vna_lifecycle.adapters.s3.bucket import Listed
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.ports import Receipt, StoreFailure


class Files:
    """A results folder in memory, as much of a bucket as is read."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def read(self, relative: str) -> bytes:
        if relative not in self.files:
            raise results.ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return self.files[relative]

    def listing(self, below: str) -> list[Listed]:
        return [
            Listed(key=key, size=len(data), etag="", storage_class="STANDARD")
            for key, data in sorted(self.files.items())
            if key.startswith(below)
        ]


def report(manifest: Any, **files: bytes) -> Report | None:
    named = {f"job/{name.replace('__', '/')}.ndjson": data for name, data in files.items()}
    if manifest is not None:
        named["job/job-output-manifest.json"] = (
            manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        )
    bucket: Any = Files(named)
    return read_report(bucket, "job/")


def summary(scanned: int, imported: int, customer: int = 0, server: int = 0) -> dict[str, Any]:
    return {
        "jobSummary": {
            "numberOfScannedFiles": scanned,
            "numberOfImportedFiles": imported,
            "numberOfFilesWithCustomerError": customer,
            "numberOfFilesWithServerError": server,
        }
    }


def success(name: str, *, primary: bool | None = True) -> bytes:
    response: dict[str, Any] = {"imageSetId": "a" * 32}
    if primary is not None:
        response["isPrimary"] = primary
    return json.dumps({"inputFile": f"stage/in/x/{name}", "importResponse": response}).encode() + b"\n"


def failure(name: str, kind: str = "ValidationException") -> bytes:
    exception = {"exceptionType": kind, "message": "Doe^Jane"}
    return json.dumps({"inputFile": f"stage/in/x/{name}", "exception": exception}).encode() + b"\n"


def warning(name: str, *kinds: str) -> bytes:
    told = [{"warning_reason_code": "1", "type": kind, "message": "m"} for kind in kinds]
    response = {"imageSetId": "a" * 32, "isPrimary": True, "warnings": told}
    return json.dumps({"inputFile": f"stage/in/x/{name}", "importResponse": response}).encode() + b"\n"


def answers(found: Report | None, *names: str) -> dict[str, Receipt | StoreFailure]:
    staged = [(SOPInstanceUID(f"1.2.{name}"), name) for name in names]
    told = list(reconcile(staged, found))
    assert [answer.sop_instance_uid for answer in told] == [uid for uid, _ in staged]
    return dict(zip(names, told, strict=True))


def code_of(answer: Receipt | StoreFailure) -> str:
    return answer.code if isinstance(answer, StoreFailure) else answer.outcome.value


def test_each_file_is_told_once() -> None:
    found = report(
        summary(4, 3, 1),
        SUCCESS__success=success("a") + success("b") + success("c", primary=False),
        FAILURE__failure=failure("d"),
        WARNING__warning=warning("b", "ELEMENTS_DISCARDED", "BRAND_NEW"),
    )
    assert found is not None
    assert found.whole
    told = answers(found, "a", "b", "c", "d", "e")
    assert {name: code_of(answer) for name, answer in told.items()} == {
        "a": "stored",
        "b": "stored",
        "c": "non-primary",
        "d": "import-validation",
        "e": "unaccounted",
    }
    told_of_b = told["b"]
    assert isinstance(told_of_b, Receipt)
    assert told_of_b.warnings == ("elements-discarded", "unknown-brand-new")
    assert "Doe" not in str(told["d"])


def test_a_file_that_is_not_said_to_be_primary_is_not() -> None:
    assert (
        code_of(answers(report(summary(1, 1), SUCCESS__success=success("a", primary=None)), "a")["a"]) == "non-primary"
    )


def test_a_file_in_both_lists_is_a_contradiction() -> None:
    found = report(summary(1, 1, 1), SUCCESS__success=success("a"), FAILURE__failure=failure("a"))
    assert code_of(answers(found, "a")["a"]) == "contradictory-results"


def test_files_that_nobody_staged_are_told_with_every_instance() -> None:
    found = report(summary(2, 2), SUCCESS__success=success("a") + success("stranger"))
    told = answers(found, "a")["a"]
    assert isinstance(told, Receipt)
    assert told.warnings == (FOREIGN,)
    counted = answers(report(summary(2, 1), SUCCESS__success=success("a")), "a")["a"]
    assert isinstance(counted, Receipt)
    assert counted.warnings == (FOREIGN,)


def test_results_in_several_files_are_all_read() -> None:
    found = report(summary(2, 2), SUCCESS__success_1=success("a"), SUCCESS__success_2=success("b"))
    assert {code_of(answer) for answer in answers(found, "a", "b").values()} == {"stored"}


def test_without_a_manifest_there_is_no_report() -> None:
    assert report(None, SUCCESS__success=success("a")) is None
    assert code_of(answers(None, "a")["a"]) == "unaccounted"


def test_a_report_is_whole_when_it_names_as_many_files_as_the_manifest_counts() -> None:
    late = report(summary(2, 2), SUCCESS__success=success("a"))
    assert late is not None
    assert not late.whole
    truncated = report(summary(2, 2), SUCCESS__success=success("a") + success("b")[:-8])
    assert truncated is not None
    assert (truncated.whole, truncated.unreadable) == (False, 1)
    assert code_of(answers(truncated, "a", "b")["b"]) == "unaccounted"


@pytest.mark.parametrize("manifest", [summary(2, 1, customer=1), summary(2, 1, server=1)], ids=["theirs", "its own"])
def test_a_report_without_the_failures_that_the_manifest_counts_is_not_whole(manifest: Any) -> None:
    late = report(manifest, SUCCESS__success=success("a"))
    done = report(manifest, SUCCESS__success=success("a"), FAILURE__failure=failure("b"))
    assert late is not None
    assert done is not None
    assert (late.whole, done.whole) == (False, True)


@pytest.mark.parametrize(
    "files",
    [
        {"SUCCESS__success": success("a") + success("stranger")},
        {"SUCCESS__success": success("a"), "FAILURE__failure": failure("stranger")},
        {"SUCCESS__success": success("a"), "WARNING__warning": warning("stranger", "OTHER")},
    ],
    ids=["imported", "refused", "warned of"],
)
def test_a_name_that_nobody_staged_is_foreign_also_when_the_counts_agree(files: dict[str, bytes]) -> None:
    """One of ours is missing, a stranger is there: as many files as were staged."""
    told = answers(report(summary(2, 2), **files), "a", "b")
    assert isinstance(told["a"], Receipt)
    assert told["a"].warnings == (FOREIGN,)
    assert code_of(told["b"]) == "unaccounted"


def test_every_warning_of_a_file_is_told_once_wherever_it_stands() -> None:
    lines = warning("a", "OTHER", "OTHER") + warning("a", "ELEMENTS_DISCARDED")
    told = answers(report(summary(1, 1), SUCCESS__success=success("a"), WARNING__warning=lines), "a")["a"]
    assert isinstance(told, Receipt)
    assert told.warnings == ("other", "elements-discarded")


@pytest.mark.parametrize(
    ("kind", "transient"),
    [
        ("InternalServerException", True),
        ("ThrottlingException", True),
        ("ServiceUnavailableException", True),
        ("ValidationException", False),
        ("AccessDeniedException", False),
    ],
)
def test_what_failed_for_the_service_s_own_reasons_is_tried_again(kind: str, transient: bool) -> None:
    told = answers(report(summary(1, 0, 1), FAILURE__failure=failure("a", kind)), "a")["a"]
    assert isinstance(told, StoreFailure)
    assert told.transient is transient


def test_what_is_not_accounted_for_is_looked_at_again() -> None:
    told = answers(report(summary(0, 0)), "a")["a"]
    assert isinstance(told, StoreFailure)
    assert (told.code, told.transient) == ("unaccounted", True)


class Vanishing(Files):
    """Lists one file more than can be read."""

    def listing(self, below: str) -> list[Listed]:
        gone = Listed(key="job/SUCCESS/gone.ndjson", size=1, etag="", storage_class="STANDARD")
        return [gone, *super().listing(below)]


def test_only_result_files_that_are_there_are_read() -> None:
    manifest = json.dumps(summary(2, 2)).encode()
    files = {
        "job/job-output-manifest.json": manifest,
        "job/SUCCESS/success.ndjson": success("a"),
        "job/SUCCESS/success.ndjson.part": success("b"),
        "job/OTHER/other.ndjson": success("b"),
    }
    bucket: Any = Vanishing(files)
    found = read_report(bucket, "job/")
    assert found is not None
    assert [*found.successes] == ["a"]


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_give_an_answer_for_every_file(manifest: bytes, lines: bytes) -> None:
    found = report(manifest, SUCCESS__success=lines + b"\n" + success("a"), FAILURE__failure=lines)
    assert code_of(answers(found, "a", "b")["b"]) == "unaccounted"


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["inputFile", "importResponse", "exception", "warnings"]), inner)
            ),
        ),
        max_size=4,
    )
)
def test_any_json_gives_an_answer_for_every_file(documents: list[Any]) -> None:
    lines = b"".join(json.dumps(document).encode() + b"\n" for document in documents)
    found = report(summary(1, 1), SUCCESS__success=success("a") + lines, FAILURE__failure=lines, WARNING__w=lines)
    assert code_of(answers(found, "a")["a"]) == "stored"


@pytest.mark.parametrize("kind", sorted(results.KNOWN_WARNINGS))
def test_documented_warnings_have_codes_of_their_own(kind: str) -> None:
    assert warning_code(kind) == kind.lower().replace("_", "-")


@pytest.mark.parametrize("kind", [None, 7, "", "Doe^Jane", "A" * 65, "lower"])
def test_what_is_no_type_of_warning_is_not_repeated(kind: Any) -> None:
    assert warning_code(kind) == "unknown-warning"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("ValidationException", "import-validation"),
        ("InternalServerException", "import-internal-server"),
        ("DICOMParsingException", "import-dicom-parsing"),
        ("", "import-failed"),
        ("^^^", "import-failed"),
    ],
)
def test_exception_types_are_codes(kind: str, code: str) -> None:
    assert failure_code(kind) == code
