"""The reading side of an archive: what it answers, what it lists, and what it serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from vna_lifecycle.adapters.dimse import answers as at
from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.dividing import Answered, Divider
from vna_lifecycle.adapters.dimse.listing import Lister
from vna_lifecycle.adapters.dimse.lobby import Lobby
from vna_lifecycle.adapters.dimse.retrieving import Retriever
from vna_lifecycle.adapters.dimse.windows import Window, window_of, years
from vna_lifecycle.adapters.dimse.wire import Elements
from vna_lifecycle.adapters.query import matches
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Part, Spool, StudyQuery

_QUARANTINE: Final = "quarantine"


class Reader:
    """Asks and fetches."""

    def __init__(self, caller: Caller, lobby: Lobby) -> None:
        self._caller = caller
        self._lobby = lobby
        self._lister = Lister(caller)
        self._retriever = Retriever(caller, self._lister, lobby)

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """The studies that the archive answers with, without those that a condition does not hold for."""
        found = self._lister.ask({**at.STUDY_KEYS, **_keys(query)}, at.STUDY_UID).found
        records = (at.study_record(group) for group in _by_study(found).values())
        return (study for study in records if matches(query, study))

    def parts(self) -> Iterator[Part]:
        """Windows of Study Dates whose answers are whole, the studies without one, and what is in quarantine."""
        settings = self._caller.settings
        divider = Divider(self._answered, limit=settings.studies_per_part, trusted=settings.trusted_answers)
        for window in divider.parts(years(self._caller.site.clock().date())):
            yield Part(key=window.key, title=window.title)
        if self._lobby.quarantine.objects():
            yield Part(key=_QUARANTINE, title="objects that were not asked for")

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Each study of a window with its instances, level by level; or what is in quarantine."""
        if part.key == _QUARANTINE:
            yield from self._quarantined()
            return
        for records in self._shown(window_of(part.key)).values():
            listing = self._lister.listing(records)
            yield from listing.studies
            yield from listing.instances
            yield from listing.refused

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """What the archive lists of the study."""
        return iter(self._lister.instances(study.study_uid))

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted object, as it arrives."""
        return self._retriever.fetch(study, wanted, spool)

    def close(self) -> None:
        """Release associations, and listen no longer."""
        self._caller.close()
        self._lobby.close()

    def _answered(self, window: Window, limit: int | None) -> Answered:
        if window.rest == "minutes":
            return Answered(studies=frozenset(self._shown(window)), records=0)
        return self._caller.again(lambda: self._counted(window, limit))

    def _counted(self, window: Window, limit: int | None) -> Answered:
        keys = {at.LEVEL: "STUDY", **dict.fromkeys((at.STUDY_DATE, at.STUDY_TIME, at.PATIENT_ID, at.STUDY_UID), "")}
        studies: set[str] = set()
        records = 0
        for answer in self._lister.stream({**keys, **window.keys}):
            records += 1
            if window.holds(answer) and (uid := answer.text(at.STUDY_UID)):
                studies.add(uid)
                if limit is not None and len(studies) > limit:
                    return Answered(studies=frozenset(studies), records=records, cut=True)
        return Answered(studies=frozenset(studies), records=records)

    def _shown(self, window: Window) -> dict[str, list[Elements]]:
        """The records of each study of a window, in a stable order."""
        found = _by_study(
            answer for answer in self._lister.stream({**at.STUDY_KEYS, **window.keys}) if window.holds(answer)
        )
        if window.rest == "minutes":
            for half in window.halves():
                for uid in self._shown(half):
                    found.pop(uid, None)
        return dict(sorted(found.items()))

    def _quarantined(self) -> Iterator[Refused]:
        for path in self._lobby.quarantine.objects():
            reason = "the archive sent an object that was not asked for"
            yield Refused(locator=str(path), code="unexpected-object", reason=reason, size=path.stat().st_size)


def _keys(query: StudyQuery) -> dict[int, str]:
    asked = {
        at.STUDY_UID: query.study_uid,
        at.PATIENT_ID: query.patient_id,
        at.ISSUER: query.issuer_of_patient_id,
        at.PATIENT_NAME: query.patient_name,
        at.ACCESSION: query.accession_number,
        at.MODALITIES: query.modality,
        at.DESCRIPTION: query.description,
    }
    days = query.studied
    if days is not None and (days.first or days.last):
        first, last = (f"{day:%Y%m%d}" if day else "" for day in (days.first, days.last))
        asked[at.STUDY_DATE] = f"{first}-{last}"
    return {tag: value for tag, value in asked.items() if value}


def _by_study(answers: Iterable[Elements]) -> dict[str, list[Elements]]:
    grouped: dict[str, list[Elements]] = {}
    for answer in answers:
        if uid := answer.text(at.STUDY_UID):
            grouped.setdefault(uid, []).append(answer)
    return grouped
