"""Acceptance checks, and what they are shown of a study or a wave."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Protocol

from attrs import frozen

from vna_lifecycle.model.finding import Finding
from vna_lifecycle.model.identity import PatientKey, StudyRef
from vna_lifecycle.model.inventory import Availability, Basis, InstanceRecord, Manifest, Refused, StudyRecord
from vna_lifecycle.ports.reading import Fetched, FetchFailure
from vna_lifecycle.ports.writing import ConflictClass


@frozen(kw_only=True)
class Retrieved:
    """What one reader was served of a sampled study: the study as its query found it, and the objects themselves.

    ``listed`` is None when the reader's query did not find the study. Files are there only while the check looks.
    """

    reader: str
    listed: StudyRecord | None
    objects: tuple[Fetched, ...]
    failures: tuple[FetchFailure, ...]
    seconds: float


@frozen(kw_only=True)
class StudyCase:
    """What an acceptance check is shown of one study.

    ``records`` are the source's listings, ``source`` what was fetched, ``expected`` what should be at the target after
    declared changes, ``target`` what was read back (None when nothing was). Checks of sampled studies also see
    ``originals``, the source's objects fetched again (empty where the source has them no more), and ``retrieved``, what
    each reader was served just now.

    ``basis`` is what the source's listing rests on, and ``claimed`` how many instances it claims (None: it does not
    say). ``retrievals`` counts the retrievals on record that gave the same set of SOP Instance UIDs as ``source``.
    """

    study: StudyRef
    records: tuple[InstanceRecord, ...]
    source: Manifest
    expected: Manifest
    target: Manifest | None
    basis: Basis = Basis.INSTANCES
    claimed: int | None = None
    retrievals: int = 1
    originals: tuple[Fetched, ...] = ()
    retrieved: tuple[Retrieved, ...] = ()


@frozen(kw_only=True)
class StudyFacts:
    """One study of a wave, as the catalog tells it. ``state`` is a `MigrationState`'s value.

    Text is from its leading header, and ``headers`` counts the distinct combinations of patient and study attributes
    among its objects: more than one is a contradiction within the study. ``body_parts`` and ``lateralities`` are those
    of its series, sorted, ``""`` among them where a series states none.
    """

    study: StudyRef
    patient: PatientKey
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    study_date: str
    accession_number: str
    issuer_of_accession_number: str
    description: str
    procedure_code: str
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    lateralities: tuple[str, ...]
    series: int
    instances: int
    headers: int
    state: str


@frozen(kw_only=True)
class Contradiction:
    """Objects of one study state different ``values`` of an attribute that belongs to the patient or the study.

    ``attribute`` is its keyword (PS3.6); ``PatientID`` stands for the ID with its issuer, as ``issuer: id``.
    """

    study: StudyRef
    attribute: str
    values: tuple[str, ...]


@frozen(kw_only=True)
class Demographics:
    """Who a patient is said to be: Patient's Name, Birth Date and Sex, as found."""

    name: str
    birth_date: str
    sex: str


@frozen(kw_only=True)
class PatientFacts:
    """A patient identity that studies of the wave bear, with everybody whom it names anywhere in the sources.

    ``studies`` are those of the wave.
    """

    patient: PatientKey
    named: tuple[Demographics, ...]
    studies: tuple[StudyRef, ...]


@frozen(kw_only=True)
class Namesakes:
    """Patient identities that share something, at least one of them of the wave; ``same`` says what.

    ``id``: the same Patient ID under different issuers. ``demographics``: the same name, birth date and sex.
    """

    same: str
    patients: tuple[PatientFacts, ...]


@frozen(kw_only=True)
class SpreadSeries:
    """A Series Instance UID that several studies have: ``studies`` of the wave, and others ``elsewhere``."""

    series_uid: str
    studies: tuple[StudyRef, ...]
    elsewhere: tuple[StudyRef, ...]


@frozen(kw_only=True)
class Collision:
    """One SOP Instance UID with several contents; ``conflict`` is None where the contents were not looked at.

    ``copies`` pairs archive and locator. They are in ``studies`` of the wave, and in others ``elsewhere``.
    """

    sop_instance_uid: str
    studies: tuple[StudyRef, ...]
    elsewhere: tuple[StudyRef, ...] = ()
    copies: tuple[tuple[str, str], ...]
    conflict: ConflictClass | None


@frozen(kw_only=True)
class SharedContent:
    """One content under several SOP Instance UIDs: the same pixels (by digest) in the same study."""

    study: StudyRef
    pixel_sha256: str
    sop_instance_uids: tuple[str, ...]


@frozen(kw_only=True)
class DescriptionUse:
    """How often studies of the wave with a modality use a description and a procedure code together."""

    modality: str
    description: str
    procedure_code: str
    studies: int
    example: StudyRef


@frozen(kw_only=True)
class Oddity:
    """An object of the wave that is not as it should be, or that may not be had when it is needed.

    ``flags`` are those of its record.
    """

    study: StudyRef
    sop_instance_uid: str
    archive: str
    locator: str
    flags: tuple[str, ...]
    availability: Availability


@frozen(kw_only=True)
class TruthDifference:
    """The source's database and the headers tell a study's ``attribute`` differently.

    ``attribute`` is a keyword (PS3.6): ``PatientID``, ``IssuerOfPatientID``, ``PatientName``, ``AccessionNumber``,
    ``StudyDate``, ``NumberOfStudyRelatedSeries``, ``NumberOfStudyRelatedInstances``; or ``deleted`` or ``hidden``, for
    a study that the database does not show, or ``unknown``, for one that it does not have.
    """

    study: StudyRef
    attribute: str
    header: str
    truth: str


@frozen(kw_only=True)
class TargetDifference:
    """A target object that is not as it was accepted: ``changed``, ``vanished``, ``added`` or ``unreadable``."""

    study: StudyRef
    sop_instance_uid: str
    what: str


class Depth(enum.Enum):
    """How closely the target is looked at again.

    BYTES reads every object. LISTING takes the archive's word for which objects it has, in which series, how large.
    """

    LISTING = "listing"
    BYTES = "bytes"


class WaveCase(Protocol):
    """What a wave check is shown: questions over the whole wave, each answered as a stream.

    A wave may be larger than memory. Every method may be called more than once, and gives studies of this wave only,
    except where it says otherwise. Wave checks are also shown the program itself, as a case whose ``wave`` is ``""``:
    it has no studies, and `refused` is what it has to tell. Findings there are about the sources.
    """

    @property
    def wave(self) -> str:
        """The wave's name; ``""`` for the program itself."""
        ...

    def studies(self) -> Iterator[StudyFacts]:
        """Every study that the sources list, by label."""
        ...

    def histories(self) -> Iterator[tuple[StudyFacts, ...]]:
        """The studies again, patient by patient; those without a Patient ID are left out."""
        ...

    def issuers(self) -> Iterator[str]:
        """Every Issuer of Patient ID that anything in the sources states."""
        ...

    def contradictions(self) -> Iterator[Contradiction]:
        """What the objects of one study say differently about its patient, or about the study itself."""
        ...

    def patients(self) -> Iterator[PatientFacts]:
        """Every patient identity of the wave's studies that names somebody."""
        ...

    def namesakes(self) -> Iterator[Namesakes]:
        """Identities of the wave that share their ID or their demographics with another one anywhere in the sources."""
        ...

    def spread_series(self) -> Iterator[SpreadSeries]:
        """Series of the wave that also belong to another study anywhere in the sources."""
        ...

    def collisions(self) -> Iterator[Collision]:
        """SOP Instance UIDs of the wave under which the sources hold several contents, until a person chose one."""
        ...

    def shared_contents(self) -> Iterator[SharedContent]:
        """Pixel contents that several instances of one study share. Only studies that were fetched can be told."""
        ...

    def descriptions(self) -> Iterator[DescriptionUse]:
        """How descriptions and codes are used, by modality."""
        ...

    def oddities(self) -> Iterator[Oddity]:
        """Objects with flags, and objects that are not near."""
        ...

    def refused(self) -> Iterator[tuple[str, Refused]]:
        """What the latest passes could not trust, each with its archive; only in the program's own case."""
        ...

    def truth_differences(self) -> Iterator[TruthDifference]:
        """Where the source's own database and the headers disagree; nothing where no truth is known."""
        ...

    def target_differences(self, depth: Depth) -> Iterator[TargetDifference]:
        """Asks the target again: what of the wave's transferred studies is not as it was read back when accepted.

        Raises:
            ArchiveError: the target does not answer.
        """
        ...


class AcceptanceCheck(Protocol):
    """Examines a study and tells what it sees. A failed check is a finding, not an exception."""

    def examine(self, case: StudyCase) -> Iterable[Finding]:
        """The findings; none means that this check has nothing to say against the study."""
        ...


class WaveCheck(Protocol):
    """Examines a wave as a whole and tells what it sees. A failed check is a finding, not an exception."""

    def examine(self, case: WaveCase) -> Iterable[Finding]:
        """The findings, each with the study it is about, if it is about one; none: nothing against the wave."""
        ...
