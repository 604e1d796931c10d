"""What readers are really served of sampled studies, against what should be there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from math import ceil, log2
from typing import Final

from attrs import frozen

from vna_lifecycle.checks.about import About, Kind
from vna_lifecycle.checks.settings import FidelitySettings
from vna_lifecycle.dicom.compare import compare_entries, compare_files, entry_against
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.dicom.encoding import encoding_classes
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.counting import counted, told_of
from vna_lifecycle.model.encoding import EncodingClass, classes_counted
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.model.inventory import ManifestEntry, Rung, SeriesAttributes, StudyRecord
from vna_lifecycle.policy.person import Likeness, name_likeness
from vna_lifecycle.ports import Fetched, Retrieved, StudyCase

ABOUT: Final = About(
    check="fidelity",
    proves="Each reader's own query finds the sampled study, under its patient, accession number and date, with as "
    "many instances as there are; and what the reader is then served of it has the same attributes and the same "
    "pixels as what was accepted.",
    cannot="It looks at the sample only; the wave's verdict says how sure that makes one of the rest. It compares "
    "attributes and pixels, not what a viewer makes of them.",
    kinds=(
        Kind(
            word="not-found-by-reader",
            severity=Severity.BLOCKER,
            means="The reader's query does not find the study.",
            remedy="Look how the target indexed it: a study that nobody finds is lost to care",
        ),
        Kind(
            word="found-under-other-identity",
            severity=Severity.BLOCKER,
            means="The reader's query finds the study, and shows another patient or accession number than its objects "
            "state.",
            remedy="Look for coercion at the target; correct the target's record through its own patient update",
        ),
        Kind(
            word="record-varies",
            severity=Severity.WARNING,
            means="The reader's record of the study states its name, birth date, sex, date or counts differently than "
            "its objects.",
            remedy="Look how the target makes its records; some count, or spell, in their own way",
        ),
        Kind(
            word="not-served-to-reader",
            severity=Severity.BLOCKER,
            means="Objects of the study were not served to the reader, or were served in pieces.",
            remedy="Look at the target's own errors, and at the reader's connection; then accept the wave again",
        ),
        Kind(
            word="served-differently",
            severity=Severity.BLOCKER,
            means="Objects that the reader was served have other attributes or other pixels than were accepted.",
            remedy="Look for coercion or compression on the way to this reader, and switch it off or declare it",
        ),
        Kind(
            word="served-beyond",
            severity=Severity.WARNING,
            means="The reader was served objects of the study that are not among those accepted.",
            remedy="Find out who stored them",
        ),
        Kind(
            word="served-re-encoded",
            severity=Severity.NOTE,
            means="Objects were served with the same attributes and pixels in another encoding.",
            remedy="Nothing is to be done if this reader is known to be served so",
        ),
        Kind(
            word="changed-since-transfer",
            severity=Severity.BLOCKER,
            means="The source now has other content of the study than was moved.",
            remedy="Catch up with the source, and transfer the wave again",
        ),
        Kind(
            word="slow-retrieval",
            severity=Severity.WARNING,
            means="The reader waited longer for the study than `max_seconds`.",
            remedy="Look at the way from the target to this reader, and at the tier in which the study lies",
        ),
    ),
)


@frozen
class Fidelity:
    """See `ABOUT`."""

    settings: FidelitySettings

    def examine(self, case: StudyCase) -> Iterable[Finding]:
        """Findings about the source first, then reader by reader."""
        yield from _originals(case)
        for retrieved in case.retrieved:
            yield from _listing(case, retrieved)
            if retrieved.listed is not None or retrieved.objects or retrieved.failures:
                yield from _objects(case, retrieved)
            limit = self.settings.max_seconds
            if limit is not None and retrieved.seconds > limit:
                at_most = limit * 2 ** ceil(log2(retrieved.seconds / limit))
                what = f"took more than {limit:g} s to serve this study"
                yield _told(case, retrieved, "slow-retrieval", what, details=[("seconds", f"at most {at_most:g}")])


def _told(
    case: StudyCase,
    retrieved: Retrieved,
    word: str,
    what: str,
    subjects: Iterable[str] = (),
    details: Iterable[tuple[str, str]] = (),
) -> Finding:
    # Nothing that differs from one retrieval to the next: the same finding again must be the same, waivers included.
    return ABOUT.finding(
        word,
        f"{retrieved.reader} {what}",
        study=case.study,
        subjects=subjects,
        details=[("reader", retrieved.reader), *details],
    )


def _originals(case: StudyCase) -> Iterator[Finding]:
    moved = {entry.sop_instance_uid: entry.digest.dataset_sha256 for entry in case.source.entries}
    other = []
    for item in case.originals:
        uid = item.record.sop_instance_uid
        try:
            if moved.get(uid) not in (None, dataset_sha256(item.path)[0]):
                other.append(uid)
        except (DicomRefused, OSError):
            other.append(uid)
    if other:
        message = f"the source has other content now in {counted(len(other), 'object')} of this study than was moved"
        yield ABOUT.finding("changed-since-transfer", message, study=case.study, subjects=sorted(other))


# ---------------------------------------------------------------------------------------------------- the record


def _listing(case: StudyCase, retrieved: Retrieved) -> Iterator[Finding]:
    if retrieved.listed is None:
        yield _told(case, retrieved, "not-found-by-reader", "does not find this study")
        return
    series = {record.series for record in case.records}
    if not series:
        return
    other = [pair for pair in _identity(retrieved.listed, series) if pair[1]]
    if other:
        what = f"finds this study under another {' and '.join(keyword for keyword, _ in other)}"
        yield _told(case, retrieved, "found-under-other-identity", what, details=other)
    varying = [pair for pair in _others(case, retrieved.listed, series) if pair[1]]
    if varying:
        what = f"tells {', '.join(keyword for keyword, _ in varying)} of this study otherwise than its objects"
        yield _told(case, retrieved, "record-varies", what, details=varying)


def _identity(listed: StudyRecord, series: set[SeriesAttributes]) -> Iterator[tuple[str, str]]:
    yield "PatientID", _differs(listed.patient.id, {each.patient_id for each in series})
    yield "IssuerOfPatientID", _differs(listed.patient.issuer, {each.issuer_of_patient_id for each in series})
    yield "AccessionNumber", _differs(listed.accession_number, {each.accession_number for each in series})


def _others(case: StudyCase, listed: StudyRecord, series: set[SeriesAttributes]) -> Iterator[tuple[str, str]]:
    names = {each.patient_name for each in series}
    same = (Likeness.SAME, Likeness.UNKNOWN)
    if not any(name_likeness(listed.patient_name, name) in same for name in names):
        yield "PatientName", _differs(listed.patient_name, names)
    yield "PatientBirthDate", _differs(listed.patient_birth_date, {each.patient_birth_date for each in series})
    yield "PatientSex", _differs(listed.patient_sex, {each.patient_sex for each in series})
    yield "StudyDate", _differs(listed.study_date, {each.study_date for each in series})
    held = len(case.expected.entries)
    if listed.instance_count is not None:
        yield "NumberOfStudyRelatedInstances", _differs(str(listed.instance_count), {str(held)})


def _differs(told: str, stated: set[str]) -> str:
    """What to tell of a value that the record has and no object states; a record need not have every value."""
    return f"reader: {told}; objects: {' or '.join(sorted(stated))}" if told and told not in stated else ""


# ---------------------------------------------------------------------------------------------------- the objects


def _objects(case: StudyCase, retrieved: Retrieved) -> Iterator[Finding]:
    expected = {entry.sop_instance_uid: entry for entry in case.expected.entries}
    originals = {item.record.sop_instance_uid: item for item in case.originals}
    served: set[str] = set()
    beyond: list[str] = []
    broken = [(str(item.record.sop_instance_uid), item.code) for item in retrieved.failures]
    different: list[tuple[str, str]] = []
    encoded: list[tuple[str, tuple[EncodingClass, ...]]] = []
    for item in retrieved.objects:
        uid = item.record.sop_instance_uid
        if uid not in expected:
            beyond.append(uid)
            continue
        served.add(uid)
        try:
            match _compare(item, expected[uid], originals):
                case "":
                    pass
                case str(attributes):
                    different.append((uid, attributes))
                case classes:
                    encoded.append((uid, classes))
        except DicomRefused as refusal:
            broken.append((uid, refusal.code))
        except OSError:
            broken.append((uid, "unreadable"))
    told = {uid for uid, _ in broken}
    broken += [(uid, "not-delivered") for uid in sorted(expected.keys() - served - told)]
    if broken:
        what = f"was not served {counted(len(broken), 'object')} of this study"
        yield _told(case, retrieved, "not-served-to-reader", what, [uid for uid, _ in broken], broken)
    if different:
        what = f"was served {told_of(len(different), 'object', 'of this study that are not what was accepted')}"
        yield _told(case, retrieved, "served-differently", what, [uid for uid, _ in different], different)
    if beyond:
        what = f"was served {counted(len(beyond), 'object')} of this study beyond those accepted"
        yield _told(case, retrieved, "served-beyond", what, sorted(beyond))
    if encoded:
        encoded.sort(key=lambda pair: pair[0])
        differing = classes_counted(classes for _, classes in encoded)
        what = f"was served {counted(len(encoded), 'object')} of this study in another encoding"
        told_classes = [(uid, ", ".join(each.value for each in classes) or "not known") for uid, classes in encoded]
        yield _told(
            case,
            retrieved,
            "served-re-encoded",
            f"{what}; what differs: {differing or 'not known'}",
            [uid for uid, _ in encoded],
            told_classes,
        )


def _compare(
    item: Fetched, expected: ManifestEntry, originals: Mapping[SOPInstanceUID, Fetched]
) -> str | tuple[EncodingClass, ...]:
    """``""`` for the same bytes, in what it differs for the same instance encoded otherwise, else what is different."""
    found = entry_against(item.path, expected)
    rung = compare_entries(expected, found)
    if rung is Rung.HASHED:
        return ""
    original = originals.get(expected.sop_instance_uid)
    if rung is Rung.EQUIVALENT:
        return _classes(item, expected, found, original)
    if original is None:
        there, meant = found.digest, expected.digest
        same = {
            "header": there.header_sha256 == meant.header_sha256,
            "pixels": there.pixel_sha256 == meant.pixel_sha256,
        }
        return ", ".join(what for what, equal in same.items() if not equal)
    comparison = compare_files(original.path, item.path)
    if comparison.rung is not None:
        return comparison.encoding
    differing = [*comparison.attributes, *(() if comparison.pixels_equal else ("pixels",))]
    return ", ".join(differing) or "cannot be compared"


def _classes(
    item: Fetched, expected: ManifestEntry, found: ManifestEntry, original: Fetched | None
) -> tuple[EncodingClass, ...]:
    """In what the encoding differs; where no manifest tells how it was, the source's object may, if it is the same."""
    if original is not None and expected.digest.encoding is None:
        with suppress(DicomRefused, OSError):
            comparison = compare_files(original.path, item.path)
            if dataset_sha256(original.path)[0] == expected.digest.dataset_sha256:
                return comparison.encoding
    return encoding_classes(expected, found)
