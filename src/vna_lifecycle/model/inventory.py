"""What was found where: index attributes, records of studies and instances, digests and manifests."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from attrs import asdict, field, frozen

from vna_lifecycle.model.encoding import Encoding
from vna_lifecycle.model.identity import PatientKey, SeriesUID, SOPInstanceUID, StudyRef, StudyUID


class Availability(enum.Enum):
    """Instance Availability (0008,0056), PS3.3 C.4.23; UNKNOWN where the archive does not say."""

    ONLINE = "ONLINE"
    NEARLINE = "NEARLINE"
    OFFLINE = "OFFLINE"
    UNAVAILABLE = "UNAVAILABLE"
    UNKNOWN = "UNKNOWN"


class Basis(enum.Enum):
    """What the expectation of a study's completeness rests on, strongest first."""

    INSTANCES = "instances"
    SERIES_COUNTS = "series-counts"
    STUDY_COUNT = "study-count"
    NONE = "none"


@frozen(kw_only=True)
class SeriesAttributes:
    """Index attributes that every instance of one series is expected to share (patient, study and series modules).

    Text is decoded with the object's Specific Character Set and stripped of padding; absent and empty are both ``""``.
    Dates and times are as found (DA, TM). Codes are ``value^scheme``. Sources: PS3.3 C.7.1-C.7.3.
    """

    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    study_uid: StudyUID = StudyUID("")
    study_id: str = ""
    study_date: str = ""
    study_time: str = ""
    accession_number: str = ""
    issuer_of_accession_number: str = ""
    study_description: str = ""
    procedure_code: str = ""
    series_uid: SeriesUID = SeriesUID("")
    series_number: str = ""
    modality: str = ""
    series_description: str = ""
    body_part: str = ""
    laterality: str = ""
    character_set: str = ""

    @property
    def patient(self) -> PatientKey:
        """The patient as these attributes name them."""
        return PatientKey(issuer=self.issuer_of_patient_id, id=self.patient_id)


@frozen(kw_only=True)
class InstanceRecord:
    """One object as an archive lists it.

    ``locator`` is valid only in the archive that issued it. ``size`` is the stored object's size in bytes, None where
    the archive cannot say. ``flags`` name oddities that do not prevent reading (``executable-preamble``, ...).
    """

    locator: str
    sop_instance_uid: SOPInstanceUID
    sop_class_uid: str = ""
    transfer_syntax: str = ""
    size: int | None = None
    instance_number: int | None = None
    rows: int | None = None
    columns: int | None = None
    frames: int | None = None
    availability: Availability = Availability.ONLINE
    flags: tuple[str, ...] = ()
    series: SeriesAttributes = field(factory=SeriesAttributes)

    @property
    def study_uid(self) -> StudyUID:
        """Study Instance UID, through the series attributes."""
        return self.series.study_uid

    @property
    def series_uid(self) -> SeriesUID:
        """Series Instance UID, through the series attributes."""
        return self.series.series_uid


@frozen(kw_only=True)
class StudyRecord:
    """A study as an archive answers for it: a claim to be compared with its instances, not a fact.

    Counts and sizes are None where the archive does not give them. ``modalities`` is sorted.
    """

    study_uid: StudyUID
    patient: PatientKey
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    study_id: str = ""
    study_date: str = ""
    study_time: str = ""
    accession_number: str = ""
    issuer_of_accession_number: str = ""
    description: str = ""
    procedure_code: str = ""
    modalities: tuple[str, ...] = ()
    series_count: int | None = None
    instance_count: int | None = None
    size: int | None = None
    availability: Availability = Availability.UNKNOWN
    basis: Basis = Basis.NONE

    def series(self) -> SeriesAttributes:
        """What its instances share, as far as this record tells it: nothing of a series."""
        return SeriesAttributes(
            patient_id=self.patient.id,
            issuer_of_patient_id=self.patient.issuer,
            patient_name=self.patient_name,
            patient_birth_date=self.patient_birth_date,
            patient_sex=self.patient_sex,
            study_uid=self.study_uid,
            study_id=self.study_id,
            study_date=self.study_date,
            study_time=self.study_time,
            accession_number=self.accession_number,
            issuer_of_accession_number=self.issuer_of_accession_number,
            study_description=self.description,
            procedure_code=self.procedure_code,
        )

    def ref(self, label: str = "study") -> StudyRef:
        """This study's reference, with the label that messages will use."""
        return StudyRef(study_uid=self.study_uid, label=label)


@frozen(kw_only=True)
class Refused:
    """Something in an archive that is not a DICOM object that can be trusted: kept where it is, and reported.

    ``code`` and ``offset`` are those of ``DicomRefused``.
    """

    locator: str
    code: str
    reason: str
    offset: int = 0
    size: int | None = None


@frozen(kw_only=True)
class Digest:
    """What counts as "the same instance", as SHA-256 in lower-case hexadecimal.

    ``dataset_sha256`` covers the data set's bytes as served, without preamble and group 0002; ``header_sha256`` the
    canonical header; ``pixel_sha256`` the codestreams of all frames, in order, or ``""`` where the object has no pixel
    data; ``decoded_sha256`` header and decoded frames, or ``""`` where nobody asked for it or it cannot be decoded.
    ``encoding`` is how the instance is encoded, None where nobody asked.
    """

    dataset_sha256: str
    header_sha256: str
    pixel_sha256: str
    dataset_size: int
    decoded_sha256: str = ""
    encoding: Encoding | None = None


class Rung(enum.IntEnum):
    """How strongly two instances are known to be the same; each implies those before it."""

    LISTED = 1
    SIZED = 2
    EQUIVALENT = 3
    HASHED = 4


@frozen(kw_only=True)
class ManifestEntry:
    """One instance of a manifest."""

    sop_instance_uid: SOPInstanceUID
    series_uid: SeriesUID
    sop_class_uid: str
    transfer_syntax: str
    size: int
    digest: Digest


def _by_uid(entries: Iterable[ManifestEntry]) -> tuple[ManifestEntry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.sop_instance_uid))


@frozen(kw_only=True)
class Manifest:
    """All instances of a study with sizes and digests, sorted by SOP Instance UID.

    Its canonical bytes are the JSON of its fields with sorted keys and no white space, in UTF-8; an ``encoding`` that
    nobody asked for is left out.
    """

    study_uid: StudyUID
    entries: tuple[ManifestEntry, ...] = field(converter=_by_uid)

    @property
    def size(self) -> int:
        """Bytes of all instances as stored."""
        return sum(entry.size for entry in self.entries)

    def to_bytes(self) -> bytes:
        """The canonical bytes, which `from_bytes` reads back."""
        raw = asdict(self)
        for entry in raw["entries"]:
            if entry["digest"]["encoding"] is None:
                del entry["digest"]["encoding"]
        return json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical bytes, in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: the bytes are not a manifest.
        """
        try:
            raw: dict[str, Any] = json.loads(data)
            entries = [ManifestEntry(**{**entry, "digest": _digest(entry["digest"])}) for entry in raw["entries"]]
            return cls(study_uid=raw["study_uid"], entries=entries)
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError("these bytes are not a manifest") from exc


def _digest(raw: dict[str, Any]) -> Digest:
    encoding = raw.get("encoding")
    return Digest(**{**raw, "encoding": Encoding(**encoding)}) if encoding else Digest(**raw)
