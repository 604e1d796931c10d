"""What a job reports in S3: a manifest with counts, and a line for every file in one of three ndjson files.

COMPLETED only means that the job ran. What became of each file is known from these files alone, and every file that was
staged must be in exactly one of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import define, field, frozen
from botocore.exceptions import ClientError

from vna_lifecycle.adapters.s3.bucket import Bucket
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.ports import Outcome, Receipt, StoreFailure

MANIFEST: Final = "job-output-manifest.json"
KNOWN_WARNINGS: Final = frozenset(
    {"COERCION_OF_DATA_ELEMENTS", "ELEMENTS_DISCARDED", "SOP_CLASS_DATA_MISMATCH", "TRANSCODING_EXCEPTION"}
    | {"FRAMES_EXTRACTION_FAILURE", "FRAME_NUMBER_MISMATCH", "INVALID_OFFSET_TABLE", "UNSUPPORTED_TRANSFER_SYNTAX"}
    | {"INVALID_UID_FORMAT", "INVALID_DICOM_VALUE_LENGTH", "OTHER"}
)
"""Types of warnings that AWS documents. The printed codes disagree with themselves, so only types are used."""

FOREIGN: Final = "foreign-files-in-batch"
"""Warning of every instance of a job that imported files which the batch did not stage."""

_TYPE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_PASSING: Final = frozenset({"InternalServerException", "ThrottlingException", "ServiceUnavailableException"})


@frozen(kw_only=True)
class Success:
    """A file that was imported; ``primary`` says whether into its series' primary image set."""

    image_set: str
    primary: bool


@define(kw_only=True)
class Report:
    """What the result files say, by the base name of the input file. ``counts`` are those of the manifest.

    ``unreadable`` is how many lines could not be read.
    """

    counts: Mapping[str, int]
    successes: dict[str, Success] = field(factory=dict)
    failures: dict[str, str] = field(factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(factory=dict)
    unreadable: int = 0

    @property
    def whole(self) -> bool:
        """Whether as many files are named as the manifest counts; result files may come after it."""
        failed = self.counts.get("customer", 0) + self.counts.get("server", 0)
        return len(self.successes) >= self.counts.get("imported", 0) and len(self.failures) >= failed


def warning_code(kind: Any) -> str:
    """A warning's type as a code; one that is not documented is marked as such."""
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        return "unknown-warning"
    code = kind.lower().replace("_", "-")
    return code if kind in KNOWN_WARNINGS else f"unknown-{code}"


def failure_code(kind: str) -> str:
    """An exception type as a code: ``ValidationException`` is ``import-validation``."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", kind.removesuffix("Exception"))
    return "-".join(["import", *(word.lower() for word in words)]) if words else "import-failed"


def read_report(bucket: Bucket, folder: str) -> Report | None:
    """The result files of a job in a folder (relative, ending in a slash), None while there is no manifest.

    Raises:
        ArchiveError: they cannot be read.
    """
    try:
        raw = bucket.read(f"{folder}{MANIFEST}")
    except ClientError:
        return None
    report = Report(counts=_counts(raw))
    for listed in bucket.listing(folder):
        kind, _, name = listed.key.removeprefix(folder).partition("/")
        if kind not in ("SUCCESS", "FAILURE", "WARNING") or not name.endswith(".ndjson"):
            continue
        try:
            lines = bucket.read(listed.key).split(b"\n")
        except ClientError:  # it was there a moment ago
            continue
        for line in filter(None, lines):
            _note(report, kind, line)
    return report


def _counts(raw: bytes) -> dict[str, int]:
    names = {
        "scanned": "numberOfScannedFiles",
        "imported": "numberOfImportedFiles",
        "customer": "numberOfFilesWithCustomerError",
        "server": "numberOfFilesWithServerError",
    }
    try:
        summary = json.loads(raw)["jobSummary"]
        return {ours: int(summary.get(theirs, 0)) for ours, theirs in names.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _note(report: Report, kind: str, line: bytes) -> None:
    try:
        found = json.loads(line)
        name = str(found["inputFile"]).rpartition("/")[2]
        if kind == "FAILURE":
            report.failures[name] = str(found["exception"].get("exceptionType", ""))
            return
        response = found["importResponse"]
        if kind == "SUCCESS":
            primary = response.get("isPrimary")
            # silence is no promise: only what is said to be primary is
            report.successes[name] = Success(image_set=str(response["imageSetId"]), primary=primary is True)
        else:
            codes = tuple(warning_code(one.get("type")) for one in response["warnings"])
            report.warnings[name] = (*report.warnings.get(name, ()), *codes)
    except (ValueError, KeyError, TypeError, AttributeError):
        report.unreadable += 1


def reconcile(staged: Iterable[tuple[SOPInstanceUID, str]], report: Report | None) -> Iterator[Receipt | StoreFailure]:
    """What became of each staged file, each once: imported, refused, or not accounted for.

    ``staged`` are SOP Instance UIDs with the base names of their files; without a report, nothing is accounted for.
    """
    files = list(staged)
    ours = {name for _, name in files}
    foreign: tuple[str, ...] = ()
    if report is not None:
        named = report.successes.keys() | report.failures.keys() | report.warnings.keys()
        foreign = (FOREIGN,) if named - ours or report.counts.get("scanned", 0) > len(ours) else ()
    for uid, name in files:
        success = report.successes.get(name) if report else None
        failure = report.failures.get(name) if report else None
        if success is not None and failure is not None:
            message = "the job's results say both that it was imported and that it was not"
            yield StoreFailure(sop_instance_uid=uid, code="contradictory-results", message=message)
        elif failure is not None:
            passing = failure in _PASSING
            message = "the job did not import the file; its reason is in the job's FAILURE results"
            yield StoreFailure(sop_instance_uid=uid, code=failure_code(failure), message=message, transient=passing)
        elif success is None:
            message = "the job's results do not name the file; whether it was imported is not known"
            yield StoreFailure(sop_instance_uid=uid, code="unaccounted", message=message, transient=True)
        elif not success.primary:
            yield aside(uid)
        else:
            told = report.warnings.get(name, ()) if report else ()
            yield Receipt(sop_instance_uid=uid, outcome=Outcome.STORED, warnings=(*dict.fromkeys(told), *foreign))


def aside(uid: SOPInstanceUID) -> StoreFailure:
    """The answer for an instance that came to lie in a non-primary image set."""
    message = "its metadata conflicts with the data store's: it lies in a non-primary image set, out of readers' sight"
    return StoreFailure(sop_instance_uid=uid, code="non-primary", message=message)
