"""The reading side of a DICOMweb archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

from attrs import evolve

from vna_lifecycle.adapters.dicomweb import answers as at
from vna_lifecycle.adapters.dicomweb.answers import Answer
from vna_lifecycle.adapters.dicomweb.connection import Connection
from vna_lifecycle.adapters.dicomweb.dividing import Division, capped_error
from vna_lifecycle.adapters.dicomweb.fetching import Fetching
from vna_lifecycle.adapters.dicomweb.metadata import Metadata
from vna_lifecycle.adapters.dicomweb.searching import Capped, Search, conditions_of
from vna_lifecycle.adapters.query import matches
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import Basis, InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Part, Spool, StudyQuery

LISTED_AGAIN: Final = "listed-again"


class Reader:
    """Searches and retrieves."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._search = Search(connection)
        self._division = Division(self._search)
        self._fetching = Fetching(connection)
        self._metadata = Metadata(connection) if connection.settings.metadata == "when-needed" else None

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """The studies that the archive answers with, and for which every condition holds by its own answer.

        Raises:
            ArchiveError: the archive does not answer, or not with all of it.
        """
        try:
            for answer in self._search.all(["studies"], conditions_of(query), at.STUDY_FIELDS, at.STUDY_UID):
                study = at.study_record(answer)
                if study.study_uid and matches(query, study):
                    yield study
        except Capped:
            raise capped_error(self._search, "what was asked for") from None

    def parts(self) -> Iterator[Part]:
        """Ranges of Study Dates, and the rest."""
        return self._division.parts()

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Each study of the part, with its instances, completed from metadata where searches say too little."""
        studies = iter(sorted(self._division.studies(part), key=lambda answer: answer.text(at.STUDY_UID)))
        workers = self._connection.settings.connections
        with ThreadPoolExecutor(workers, thread_name_prefix="qido") as pool:
            while batch := list(islice(studies, 4 * workers)):
                for found in pool.map(lambda answer: self._listing(answer, self._metadata), batch):
                    yield from found

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """What the archive lists of the study now, completed from metadata where searches say too little.

        Raises:
            ArchiveError: the archive does not answer, or not with all of it.
        """
        return self._of_study(study, self._metadata)

    def list_briefly(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """What searches alone say of the study now, for who only needs to know which instances are there.

        Raises:
            ArchiveError: the archive does not answer, or not with all of it.
        """
        return self._of_study(study, None)

    def _of_study(self, study: StudyRef, metadata: Metadata | None) -> Iterator[InstanceRecord]:
        for answer in self._search.all(
            ["studies"], {"StudyInstanceUID": study.study_uid}, at.STUDY_FIELDS, at.STUDY_UID
        ):
            if answer.text(at.STUDY_UID) == study.study_uid:
                yield from (item for item in self._listing(answer, metadata) if isinstance(item, InstanceRecord))

    def _listing(self, answer: Answer, metadata: Metadata | None) -> list[StudyRecord | InstanceRecord | Refused]:
        study = at.study_record(answer)
        if not study.study_uid:
            return [Refused(locator="", code="unusable-answers", reason="a study was answered without its UID")]
        found, unusable = self._instances(study)
        if metadata is not None:
            found = metadata.complete(study, found)
        told = study.instance_count
        if found and not unusable and len(found) >= (told or 0):
            study = evolve(study, basis=Basis.INSTANCES)
        items: list[StudyRecord | InstanceRecord | Refused] = [study, *found]
        if unusable:
            reason = f"{unusable} answers about this study's instances lack the UIDs that they are about"
            items.append(Refused(locator=study.study_uid, code="unusable-answers", reason=reason))
        return items

    def _instances(self, study: StudyRecord) -> tuple[list[InstanceRecord], int]:
        """The instances, and how many answers could not be used."""
        above = ["studies", study.study_uid]
        answered = self._every([*above, "instances"], at.SOP_UID, study.instance_count)
        if all(answer.text(at.SERIES_UID) for answer in answered):
            pairs = [(answer, answer) for answer in answered]
        else:  # an archive that answers with no more than it must: series by series
            pairs = [
                (answer, series)
                for series in self._every([*above, "series"], at.SERIES_UID, study.series_count)
                if series.text(at.SERIES_UID)
                for answer in self._every([*above, "series", series.text(at.SERIES_UID), "instances"], at.SOP_UID, None)
            ]
        times = Counter(answer.text(at.SOP_UID) for answer, _ in pairs)
        records: dict[str, InstanceRecord] = {}
        unusable = 0
        for answer, series in pairs:
            if not answer.text(at.SOP_UID):
                unusable += 1
                continue
            flags = (LISTED_AGAIN,) if times[answer.text(at.SOP_UID)] > 1 else ()
            record = at.instance_record(study, answer, series, flags)
            records.setdefault(record.locator, record)
        return list(records.values()), unusable

    def _every(self, names: Sequence[str], unique: str, expected: int | None) -> list[Answer]:
        try:
            return list(self._search.all(names, {}, at.INSTANCE_FIELDS, unique, expected=expected))
        except Capped:
            raise capped_error(self._search, "a study's " + names[-1]) from None

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted instance, streamed into the spool in the transfer syntax that it is stored in."""
        return self._fetching.fetch(wanted, spool)

    def close(self) -> None:
        """End the connections."""
        self._connection.close()
