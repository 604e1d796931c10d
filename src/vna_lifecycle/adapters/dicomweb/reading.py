"""The reading side of a DICOMweb archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

from attrs import evolve, field, frozen

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


@frozen(kw_only=True)
class _Listing:
    """What is listed of one study. ``whole``: nothing says that there may be more instances."""

    study: StudyRecord | None = None
    instances: list[InstanceRecord] = field(factory=list)
    refused: list[Refused] = field(factory=list)
    whole: bool = True


class Reader:
    """Searches and retrieves. ``search`` is what it asks by."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.search = Search(connection)
        self._division = Division(self.search)
        self._fetching = Fetching(connection)
        self._metadata = Metadata(connection) if connection.settings.metadata == "when-needed" else None

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """The studies that the archive answers with, and for which every condition holds by its own answer.

        Raises:
            ArchiveError: the archive does not answer, or not with all of it.
        """
        try:
            for answer in self.search.all(["studies"], conditions_of(query), at.STUDY_FIELDS, at.STUDY_UID):
                study = at.study_record(answer)
                if study.study_uid and matches(query, study):
                    yield study
        except Capped:
            raise capped_error(self.search, "what was asked for") from None

    def parts(self) -> Iterator[Part]:
        """Windows of Study Dates, the studies without one, and remarks about what could not be asked for."""
        return self._division.parts()

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Each study of the part, with its instances, completed from metadata where searches say too little."""
        if (remarks := self._division.remarks(part)) is not None:
            yield from remarks
            return
        studies = iter(self._division.studies(part))
        workers = self._connection.settings.connections
        with ThreadPoolExecutor(workers, thread_name_prefix="qido") as pool:
            while batch := list(islice(studies, 4 * workers)):
                for listing in pool.map(lambda answer: self._listing(answer, self._metadata), batch):
                    if listing.study is not None:
                        yield listing.study
                    yield from listing.instances
                    yield from listing.refused

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
        found = False
        try:
            for answer in self.search.all(
                ["studies"], {"StudyInstanceUID": study.study_uid}, at.STUDY_FIELDS, at.STUDY_UID
            ):
                if answer.text(at.STUDY_UID) == study.study_uid:
                    found = True
                    listing = self._listing(answer, metadata)
                    if not listing.whole:
                        raise capped_error(self.search, "a study's instances")
                    yield from listing.instances
        except Capped:  # it answers with other studies too: the one in question may be behind them
            if not found:
                raise capped_error(self.search, "its studies") from None

    def _listing(self, answer: Answer, metadata: Metadata | None) -> _Listing:
        study = at.study_record(answer)
        if not study.study_uid:
            nameless = Refused(locator="", code="unusable-answers", reason="a study was answered without its UID")
            return _Listing(refused=[nameless])
        found, unusable, whole = self._instances(study)
        if metadata is not None:
            found = metadata.complete(study, found)
        if found and not unusable and whole and len(found) >= (study.instance_count or 0):
            study = evolve(study, basis=Basis.INSTANCES)
        reasons = []
        if unusable:
            reason = f"{unusable} answers about this study's instances lack the UIDs that they are about"
            reasons.append(("unusable-answers", reason))
        if not whole:
            reason = f"the archive does not continue its answers: it listed {len(found)} instances, and may have more"
            reasons.append(("answers-may-be-cut-short", reason))
        refused = [Refused(locator=study.study_uid, code=code, reason=reason) for code, reason in reasons]
        return _Listing(study=study, instances=found, refused=refused, whole=whole)

    def _instances(self, study: StudyRecord) -> tuple[list[InstanceRecord], int, bool]:
        """The instances, how many answers could not be used, and whether the answers are known to be whole."""
        above = ["studies", study.study_uid]
        answered, whole = self._every([*above, "instances"], at.SOP_UID, study.instance_count)
        if whole and all(answer.text(at.SERIES_UID) for answer in answered):
            pairs = [(answer, answer) for answer in answered]
        else:  # an archive that answers with no more than it must, or not with all at once: series by series
            pairs, whole = self._by_series(above, study.series_count)
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
        return list(records.values()), unusable, whole

    def _by_series(self, above: Sequence[str], expected: int | None) -> tuple[list[tuple[Answer, Answer]], bool]:
        """Each instance with the answer about its series, and whether they are known to be all."""
        listed, whole = self._every([*above, "series"], at.SERIES_UID, expected)
        pairs: list[tuple[Answer, Answer]] = []
        for series in listed:
            if uid := series.text(at.SERIES_UID):
                names = [*above, "series", uid, "instances"]
                answered, all_of_it = self._every(names, at.SOP_UID, series.number(at.SERIES_INSTANCE_COUNT))
                pairs += [(answer, series) for answer in answered]
                whole = whole and all_of_it
        return pairs, whole

    def _every(self, names: Sequence[str], unique: str, expected: int | None) -> tuple[list[Answer], bool]:
        """The answers, and whether they are known to be all."""
        found: list[Answer] = []
        fields = at.SERIES_FIELDS if unique == at.SERIES_UID else at.INSTANCE_FIELDS
        try:
            for answer in self.search.all(names, {}, fields, unique, expected=expected):
                found.append(answer)  # noqa: PERF402 - those before the cap are kept
        except Capped:
            return found, False
        return found, True

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted instance, streamed into the spool in the transfer syntax that it is stored in."""
        return self._fetching.fetch(wanted, spool)

    def close(self) -> None:
        """End the connections."""
        self._connection.close()
