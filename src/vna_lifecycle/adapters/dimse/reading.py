"""The reading side of an archive: what it answers, what it lists, and what it serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final

from attrs import evolve

from vna_lifecycle.adapters.dimse import answers as at
from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.forbearance import IN_A_ROW, Forbearance, not_answered
from vna_lifecycle.adapters.dimse.listing import Lister, under_one_patient
from vna_lifecycle.adapters.dimse.lobby import Lobby
from vna_lifecycle.adapters.dimse.pushed import Pushed
from vna_lifecycle.adapters.dimse.retrieving import Retriever
from vna_lifecycle.adapters.dimse.unlisted import Unlisted
from vna_lifecycle.adapters.dimse.wire import Elements
from vna_lifecycle.adapters.dividing import Answered, Divider, remarks
from vna_lifecycle.adapters.habits import known_cap, known_crowded, remember_cap, remember_crowded
from vna_lifecycle.adapters.query import matches
from vna_lifecycle.adapters.windows import Window, day_of, window_of, years
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Part, Spool, StudyQuery

_ARRIVALS: Final = "arrivals"
_QUARANTINE: Final = "quarantine"
_REMARKS: Final = "remarks"
_PATIENTS: Final = "patients after "
_TELLING: Final = (at.STUDY_UID, at.STUDY_DATE, at.STUDY_TIME, at.ISSUER)
"""What tells records of one patient's studies apart."""

_AT_ONCE: Final = 50
"""Studies whose records are asked for in one query."""


class Reader:
    """Asks and fetches."""

    def __init__(self, caller: Caller, lobby: Lobby) -> None:
        self._caller = caller
        self._lobby = lobby
        self._lister = Lister(caller)
        pushed = caller.settings.retrieve == "push"
        self._retriever = Pushed(caller, lobby) if pushed else Retriever(caller, self._lister, lobby)
        self._unlisted = Unlisted(lobby.arrivals, self._lister) if pushed else None
        self._remarks: tuple[Refused, ...] = ()
        self._doubts: list[Refused] = []
        self._of_counts, self._of_listings = Forbearance(caller), Forbearance(caller)
        self._of_windows = Forbearance(caller, at_first=IN_A_ROW)

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """The studies that the archive answers with, without those that a condition does not hold for."""
        found = self._found(query)
        studies = (at.study_record(group) for group in _by_study(found).values())
        if query.modality:
            studies = (evolve(study, modalities=self._lister.modalities(study)) for study in studies)
        return (study for study in studies if matches(query, study))

    def parts(self) -> Iterator[Part]:
        """Windows of Study Dates whose answers are whole, then the studies without one; or groups of patients.

        Last come what is in quarantine, and remarks about what the archive could not be asked for.
        """
        if self._lister.patients.needed:
            self._lister.patients.all()
            for before in self._lister.patients.groups:
                yield Part(key=_PATIENTS + before, title="patients")
            self._remarks = self._lister.patients.remarks
        else:
            yield from self._windows()
        if self._unlisted is not None and self._unlisted.any:
            yield Part(key=_ARRIVALS, title="objects that were sent")
        if self._lobby.quarantine.objects():
            yield Part(key=_QUARANTINE, title="objects that were not asked for")
        if self._remarks:
            yield Part(key=_REMARKS, title="what could not be asked for")

    def _windows(self) -> Iterator[Part]:
        settings = self._caller.settings
        site = self._caller.site
        divider = Divider(
            self._answered,
            limit=settings.studies_per_part,
            trusted=self._trusted(),
            known_cap=known_cap(site),
            known_crowded=known_crowded(site),
        )
        any_shown = False
        for window in divider.parts(years(site.clock().date())):
            any_shown = True
            yield Part(key=window.key, title=window.title)
        if divider.refused and not any_shown:
            raise divider.refused[0][1]  # that is no trouble of single days or studies
        # Only now: a pass that is taken up again must divide as it did before it was broken off.
        remember_crowded(site, divider.crowded)
        if divider.cap is not None:
            remember_cap(site, divider.cap)
        self._remarks = tuple(remarks(divider))

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Each study of a window with its instances, level by level; or what is in quarantine.

        A study, a day or a patient about which the archive does not answer, while it answers about others, is told.
        """
        if part.key == _QUARANTINE:
            yield from self._quarantined()
        elif part.key == _ARRIVALS:
            yield from self._unlisted.refused() if self._unlisted is not None else ()
        elif part.key == _REMARKS:
            yield from self._remarks
        else:
            for records in self._records(part.key):
                listing = self._of_listings.asked(partial(self._lister.listing, records))
                if isinstance(listing, ArchiveError):
                    listing = self._lister.unlisted(records, listing)
                yield from listing.studies
                yield from listing.instances
                yield from listing.refused
            doubts, self._doubts = self._doubts, []
            yield from doubts

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """What the archive lists of the study."""
        return iter(self._lister.instances(study.study_uid))

    def learn(self, records: Iterable[InstanceRecord]) -> None:
        """Bear in mind whose these objects are, as far as questions about them need that."""
        self._lister.learn(records)

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted object, as it arrives."""
        return self._retriever.fetch(study, wanted, spool)

    def close(self) -> None:
        """Release associations, and listen no longer."""
        self._caller.close()
        self._lobby.close()
        self._lister.patients.close()

    def _found(self, query: StudyQuery) -> list[Elements]:
        """The records of a query; where studies are only told of under their patient, those of every patient."""
        patients = self._lister.patients
        if query.patient_id or not patients.needed:
            return self._lister.ask({**at.STUDY_KEYS, **_keys(query)}, at.STUDY_UID).found
        if query.study_uid:
            return self._lister.study(query.study_uid)
        return [answer for one in patients.all() for answer in self._lister.of_patient(one, _keys(query))]

    def _records(self, key: str) -> Iterable[list[Elements]]:
        """The records of each study of a part."""
        if not key.startswith(_PATIENTS):
            window = window_of(key)
            return self._at_home(window, self._shown_in_parts(window))
        patients = self._lister.patients.groups.get(key.removeprefix(_PATIENTS), [])
        records: list[Elements] = []
        for patient in patients:
            found = self._of_windows.asked(partial(self._of_patient, patient))
            if isinstance(found, ArchiveError):
                self._doubts.append(not_answered(f"patient {patient}", "which studies the patient has", found))
            else:
                records += found
        self._lister.patients.remember((one.text(at.STUDY_UID), one.text(at.PATIENT_ID)) for one in records)
        return under_one_patient(records)

    def _of_patient(self, patient: str) -> list[Elements]:
        """The records of one patient's studies; by their dates where one answer may not be all."""
        found = self._lister.of_patient(patient, {})
        if len(found) < self._trusted():
            return found
        seen: dict[tuple[str, ...], Elements] = {}

        def ask(window: Window, most: int | None) -> Answered:
            answers = [one for one in self._lister.of_patient(patient, window.keys) if window.holds(one)]
            seen.update({tuple(one.text(tag) for tag in _TELLING): one for one in answers})
            return Answered(studies=frozenset(one.text(at.STUDY_UID) for one in answers), records=len(answers))

        divider = Divider(ask, limit=self._caller.settings.studies_per_part, trusted=self._trusted())
        for _ in divider.parts(years(self._caller.site.clock().date())):
            pass
        self._doubts += remarks(divider)
        return list(seen.values())

    def _trusted(self) -> int:
        """How many records an answer may have that is taken as whole without a comparison."""
        cap, trusted = known_cap(self._caller.site), self._caller.settings.trusted_answers
        return trusted if cap is None else min(cap, trusted)

    def _answered(self, window: Window, limit: int | None) -> Answered:
        if window.rest == "minutes":
            return Answered(studies=frozenset(self._shown(window)), records=0)
        found = self._of_counts.asked(lambda: self._caller.again(lambda: self._counted(window, limit)))
        return Answered(studies=frozenset(), records=0, refused=found) if isinstance(found, ArchiveError) else found

    def _counted(self, window: Window, limit: int | None) -> Answered:
        keys = {at.LEVEL: "STUDY", **dict.fromkeys((at.STUDY_DATE, at.STUDY_TIME, at.PATIENT_ID, at.STUDY_UID), "")}
        studies: set[str] = set()
        records = 0
        refusals: list[ArchiveError] = []
        for answer in self._lister.stream({**keys, **window.keys}, refusals):
            records += 1
            if window.holds(answer) and (uid := answer.text(at.STUDY_UID)):
                studies.add(uid)
                if limit is not None and len(studies) > limit:
                    return Answered(studies=frozenset(studies), records=records, cut=True)
        if refusals:
            return Answered(studies=frozenset(), records=0, refused=refusals[0])
        return Answered(studies=frozenset(studies), records=records)

    def _at_home(self, window: Window, shown: dict[str, list[Elements]]) -> Iterator[list[Elements]]:
        """All records of each study that is told in this window; one that others show too is told in one of them."""
        left = iter(shown)
        while uids := list(islice(left, _AT_ONCE)):
            whole = self._lister.studies(uids)
            for uid in uids:
                records = whole[uid] or shown[uid]
                if len(records) == 1 or window.holds(self._home(uid, records)):
                    yield records

    def _home(self, study_uid: str, records: list[Elements]) -> Elements:
        """The record by which a study is told: the earliest that queries show."""

        def order(record: Elements) -> tuple[bool, str, str, str]:
            date = record.text(at.STUDY_DATE)
            return day_of(date) is None, date, record.text(at.STUDY_TIME), record.text(at.PATIENT_ID)

        ordered = sorted(records, key=order)
        for record in ordered:
            date = record.text(at.STUDY_DATE)
            if day_of(date) is None or self._lister.is_shown(study_uid, date):
                return record
        return ordered[0]

    def _shown_in_parts(self, window: Window) -> dict[str, list[Elements]]:
        """As `_shown`; where that is not answered, of those days that are."""
        shown = self._of_windows.asked(partial(self._shown, window))
        if not isinstance(shown, ArchiveError):
            return shown
        halves = () if window.single_day else window.halves()
        if not halves:
            self._doubts.append(not_answered(window.key, "which studies are there", shown))
        return {uid: records for half in halves for uid, records in self._shown_in_parts(half).items()}

    def _shown(self, window: Window) -> dict[str, list[Elements]]:
        """The records of each study of a window, in a stable order."""
        found = _by_study(
            answer for answer in self._lister.all({**at.STUDY_KEYS, **window.keys}) if window.holds(answer)
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
