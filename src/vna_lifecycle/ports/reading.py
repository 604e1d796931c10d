"""Reading an archive: what is asked for, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from attrs import frozen

from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Digest, InstanceRecord, Manifest, Refused, StudyRecord
from vna_lifecycle.model.wave import DateRange


@frozen(kw_only=True)
class StudyQuery:
    """What to ask an archive for, as a reader would: every stated condition must hold (PS3.4 C.6.2.1, QIDO-RS).

    Text matches exactly, except that ``*`` and ``?`` are wild cards in ``patient_name`` and ``description``. Empty
    means any.
    """

    study_uid: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    modality: str = ""
    description: str = ""
    studied: DateRange | None = None


@frozen(kw_only=True)
class Part:
    """A piece of an archive that is inventoried and committed as one.

    ``key`` is stable from pass to pass while the archive does not change, and is what an interrupted inventory resumes
    by. ``title`` is what progress shows. A part should hold some thousands of instances at most.
    """

    key: str
    title: str = ""


class Spool(Protocol):
    """Where fetched objects lie until they are stored: one folder per task, on a disk whose free space is watched."""

    def new_file(self, size: int | None = None) -> Path:
        """A path for one object, not yet existing, in this task's folder.

        ``size`` is how many bytes will come, if known.

        Raises:
            DiskFull: the disk's free space would fall under the reserve.
        """
        ...


@frozen(kw_only=True)
class Fetched:
    """An object that was fetched, byte for byte.

    ``path`` is a DICOM file (PS3.10) whose data set is what the archive served. The path is a spool file, or the
    archive's own file where the archive is a folder (then nothing may write to it). ``digest`` is what whoever asked
    for the object found it to be; adapters leave it None. A target may record it, and the read-back decides.
    """

    record: InstanceRecord
    path: Path
    digest: Digest | None = None


@frozen(kw_only=True)
class FetchFailure:
    """An object that could not be fetched. ``code`` is a stable kebab-case word; ``message`` has no patient data.

    ``transient``: trying again later may do. ``withheld``: the archive has it, and a person must see to it that it is
    handed out, as of an object that lies offline; so it does not count as gone.
    """

    record: InstanceRecord
    code: str
    message: str
    transient: bool = False
    withheld: bool = False


class SourceAdapter(Protocol):
    """Reading an archive. Also how a target is read back, so one conformance suite covers both directions."""

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """The studies that a reader who asks ``query`` is shown."""
        ...

    def parts(self) -> Iterator[Part]:
        """All parts of the archive, in a stable order; together they hold every instance once."""
        ...

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Everything in one part. May be called again for the same part and then tells the same, if nothing changed."""
        ...

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """The instances of one study, as the archive lists them now."""
        ...

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted instance, once, as it arrives and in any order. Locators decide, not UIDs.

        Where an archive serves several contents under one locator, each of them is told, with the same record.
        """
        ...

    def close(self) -> None:
        """Release connections and files."""
        ...


@frozen(kw_only=True)
class FrameLook:
    """What a look at one frame of an instance showed; ``number`` counts from 1, 0 stands for the whole instance.

    ``equal`` is None where it could not be decided. ``basis`` is what the answer rests on, or why there is none: a
    sentence without identifiers.
    """

    sop_instance_uid: SOPInstanceUID
    number: int
    equal: bool | None
    basis: str


class LooksAtFrames(Protocol):
    """Single frames, served apart from the instances that they belong to: another way than what was read back."""

    def look_at_frames(self, study: StudyRef, originals: Sequence[Fetched]) -> Iterator[FrameLook]:
        """Hold frames of each instance against those of its original.

        Raises:
            ArchiveError: the archive cannot be read.
        """
        ...


class LetsGoOfArrivals(Protocol):
    """A source that sends by itself: what came is kept on a disk of ours until it has been moved."""

    def let_go(self, manifest: Manifest) -> int:
        """Remove what was kept of these instances with these very data sets, and say how many objects it was.

        What came under their UIDs with other bytes stays: nobody has moved that. To do it again is harmless.

        Raises:
            StorageError: it cannot be removed.
        """
        ...


class TellsCosts(Protocol):
    """An archive whose operator is paid for more than keeping."""

    def reading(self) -> str:
        """What reading costs beyond time, as a sentence that is told before a verification."""
        ...
