"""A study as its archive lists it: study, series and image level compared, nothing lost that was answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from attrs import evolve, field, frozen

from vna_lifecycle.adapters.dimse import answers as at
from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.forbearance import Forbearance, not_answered
from vna_lifecycle.adapters.dimse.patients import Patients
from vna_lifecycle.adapters.dimse.wire import Elements, Keys, find
from vna_lifecycle.errors import ArchiveError, ArchiveRefused
from vna_lifecycle.model.inventory import Basis, InstanceRecord, Refused, SeriesAttributes, StudyRecord

SEVERAL_RECORDS: Final = "several-study-records"
LISTED_AGAIN: Final = "listed-again"


@frozen(kw_only=True)
class Answers:
    """Answers that could be read, and how many could not, or name no study, series or instance as they must."""

    found: list[Elements] = field(factory=list)
    unusable: int = 0


@frozen(kw_only=True)
class StudyListing:
    """What is listed of one study: one record for each patient that it is said to be of, and its instances."""

    studies: tuple[StudyRecord, ...]
    instances: tuple[InstanceRecord, ...]
    refused: tuple[Refused, ...]


class Lister:
    """Asks one archive, level by level."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._takes_lists = True
        self._forbearance = Forbearance(caller)
        self._patient_root = caller.settings.query_model == "patient-root"
        self.patients = Patients(caller, self.stream)

    def ask(self, keys: Keys, unique: int) -> Answers:
        """Every answer to a query; ``unique`` is the unique key of its level.

        Raises:
            ArchiveError: the archive did not answer, each time.
        """
        return self._caller.again(lambda: self._once(keys, unique))

    def all(self, keys: Keys, refusals: list[ArchiveError] | None = None) -> list[Elements]:
        """As `stream`, to the end and asked again where it breaks off."""
        return self._caller.again(lambda: list(self.stream(keys, refusals)))

    def stream(self, keys: Keys, refusals: list[ArchiveError] | None = None) -> Iterator[Elements]:
        """The answers to a query as they come; to stop early cancels it. What cannot be read is left out.

        Where the archive itself ends the query with a failure, that is put among the ``refusals``, if they are given.

        Raises:
            ArchiveError: the archive did not answer, or not to the end.
        """
        with self._caller.questions() as association:
            try:
                for answer in find(association, keys, model=self._caller.models.find):
                    try:
                        elements = answer.read()
                    except ArchiveError:
                        continue
                    yield elements
            except ArchiveError as problem:
                # An association that lives on has lost nothing: this query was not to the archive's taste.
                if refusals is None or isinstance(problem, ArchiveRefused) or not association.alive:
                    raise
                refusals.append(problem)

    def study(self, study_uid: str) -> list[Elements]:
        """The archive's records of one study."""
        if self.patients.needed:
            return self._under_patients(study_uid)
        found = self.ask({**at.STUDY_KEYS, at.STUDY_UID: study_uid}, at.STUDY_UID).found
        return [answer for answer in found if answer.text(at.STUDY_UID) == study_uid]

    def _under_patients(self, study_uid: str) -> list[Elements]:
        """The records of a study under its patients; where nobody knows them, all patients are asked."""

        def records(patients: Iterable[str]) -> list[Elements]:
            return [answer for one in patients for answer in self.of_patient(one, {at.STUDY_UID: study_uid})]

        found = records(self.patients.of(study_uid))
        if not found:
            found = records(self.patients.all())
            self.patients.remember((study_uid, answer.text(at.PATIENT_ID)) for answer in found)
        return [answer for answer in found if answer.text(at.STUDY_UID) == study_uid]

    def learn(self, records: Iterable[InstanceRecord]) -> None:
        """Keep whose these objects' studies are, where they will be asked for by that."""
        if self.patients.needed:
            self.patients.remember({(str(one.study_uid), one.series.patient_id) for one in records})

    def of_patient(self, patient: str, keys: Keys) -> list[Elements]:
        """The records of one patient's studies, by Patient ID; ``keys`` are further ones."""
        found = self.ask({**at.STUDY_KEYS, **keys, at.PATIENT_ID: patient}, at.STUDY_UID).found
        return [answer for answer in found if answer.text(at.PATIENT_ID) == patient]

    def studies(self, study_uids: Sequence[str]) -> dict[str, list[Elements]]:
        """The archive's records of each of these studies, however they are dated.

        Of some there may be none, also since the archive does not answer.
        """
        found: dict[str, list[Elements]] = {}
        if self._takes_lists and len(study_uids) > 1:
            refusals: list[ArchiveError] = []
            keys = {**at.STUDY_KEYS, at.STUDY_UID: "\\".join(study_uids)}
            answers = self._forbearance.asked(partial(self.all, keys, refusals))
            if not isinstance(answers, ArchiveError):
                for answer in () if refusals else answers:
                    found.setdefault(answer.text(at.STUDY_UID), []).append(answer)
                self._takes_lists = len(found) > 1
        return {uid: found.get(uid) or self._study_or_nothing(uid) for uid in study_uids}

    def _study_or_nothing(self, study_uid: str) -> list[Elements]:
        records = self._forbearance.asked(partial(self.study, study_uid))
        return [] if isinstance(records, ArchiveError) else records

    def is_shown(self, study_uid: str, study_date: str) -> bool:
        """Whether a query of this date shows the study: not every date that is answered is also matched."""
        keys = {at.LEVEL: "STUDY", at.STUDY_UID: study_uid, at.STUDY_DATE: study_date}
        return any(answer.text(at.STUDY_UID) == study_uid for answer in self.ask(keys, at.STUDY_UID).found)

    def modalities(self, study: StudyRecord) -> tuple[str, ...]:
        """The study's modalities, asked of its series where the archive does not tell them of studies."""
        if study.modalities:
            return study.modalities
        answers = self.ask({**at.SERIES_KEYS, **self._above(study)}, at.SERIES_UID).found
        return tuple(sorted({answer.text(at.MODALITY) for answer in answers} - {""}))

    def instances(self, study_uid: str) -> tuple[InstanceRecord, ...]:
        """What the archive lists of one study now; nothing where it has none of it."""
        records = self.study(study_uid)
        if self.patients.needed:
            return tuple(one for group in under_one_patient(records) for one in self.listing(group).instances)
        return self.listing(records).instances if records else ()

    def listing(self, records: Sequence[Elements]) -> StudyListing:
        """The study that these are the records of.

        Raises:
            ArchiveError: the archive did not answer.
        """
        first = at.study_record(records)
        above = self._above(first)
        series = self.ask({**at.SERIES_KEYS, **above}, at.SERIES_UID)
        flags = (SEVERAL_RECORDS,) if len(records) > 1 else ()
        instances: list[InstanceRecord] = []
        unusable, told, short = series.unusable, 0, False
        for answer in _once_each(series.found, at.SERIES_UID):
            attributes = at.series_attributes(first, answer)
            listed = self.ask({**at.IMAGE_KEYS, **above, at.SERIES_UID: str(attributes.series_uid)}, at.SOP_UID)
            unusable += listed.unusable
            count = at.number(answer, at.SERIES_INSTANCES)
            told += count or 0
            found = list(_instances(first, attributes, answer, listed.found, flags))
            short = short or len(found) < (count or 1)
            instances += found
        modalities = {answer.text(at.MODALITY) for answer in series.found} - {""}
        counted = evolve(first, basis=_basis(first, len(instances), told, short=short or bool(unusable)))
        furthest = at.furthest((counted.availability, *(record.availability for record in instances)))
        return StudyListing(
            studies=tuple(
                evolve(
                    one,
                    modalities=tuple(sorted(modalities.union(one.modalities))),
                    basis=counted.basis,
                    availability=furthest,
                )
                for one in _by_patient(records)
            ),
            instances=tuple(instances),
            refused=_refused(first.study_uid, unusable),
        )

    def unlisted(self, records: Sequence[Elements], problem: ArchiveError) -> StudyListing:
        """The study that these are the records of, without instances, since the archive does not answer about them."""
        first = at.study_record(records)
        basis = _basis(first, 0, 0, short=True)
        return StudyListing(
            studies=tuple(evolve(one, basis=basis) for one in _by_patient(records)),
            instances=(),
            refused=(not_answered(first.study_uid, "what the study has", problem),),
        )

    def _above(self, study: StudyRecord) -> dict[int, str]:
        """The unique keys of the levels above series."""
        above = {at.STUDY_UID: str(study.study_uid)}
        if self._patient_root:
            above[at.PATIENT_ID] = study.patient.id
        return above

    def _once(self, keys: Keys, unique: int) -> Answers:
        found: list[Elements] = []
        unusable = 0
        with self._caller.questions() as association:
            for answer in find(association, keys, model=self._caller.models.find):
                try:
                    elements = answer.read()
                except ArchiveError:
                    unusable += 1
                    continue
                if elements.text(unique):
                    found.append(elements)
                else:
                    unusable += 1
        return Answers(found=found, unusable=unusable)


def _basis(study: StudyRecord, listed: int, told_by_series: int, *, short: bool) -> Basis:
    """What completeness can rest on: the instances only where no count says that there are more than are listed."""
    if listed and not short and listed >= (study.instance_count or 0):
        return Basis.INSTANCES
    if told_by_series:
        return Basis.SERIES_COUNTS
    return Basis.STUDY_COUNT if study.instance_count else Basis.NONE


def _instances(
    study: StudyRecord, series: SeriesAttributes, answer: Elements, listed: Iterable[Elements], flags: tuple[str, ...]
) -> Iterator[InstanceRecord]:
    nearest = at.furthest((at.availability(answer), study.availability))
    listed = list(listed)
    times = Counter(one.text(at.SOP_UID) for one in listed)
    for one in _once_each(listed, at.SOP_UID):
        again = (LISTED_AGAIN,) if times[one.text(at.SOP_UID)] > 1 else ()
        yield at.instance_record(series, one, nearest, flags + again)


def _by_patient(records: Sequence[Elements]) -> Iterator[StudyRecord]:
    """The records merged, but never those of one patient with those of another."""
    grouped: dict[tuple[str, str], list[Elements]] = {}
    for record in records:
        grouped.setdefault((record.text(at.PATIENT_ID), record.text(at.ISSUER)), []).append(record)
    return (at.study_record(group) for group in grouped.values())


def under_one_patient(records: Iterable[Elements]) -> list[list[Elements]]:
    """The records that are asked for under the same Study Instance UID and the same Patient ID."""
    grouped: dict[tuple[str, str], list[Elements]] = {}
    for record in records:
        grouped.setdefault((record.text(at.STUDY_UID), record.text(at.PATIENT_ID)), []).append(record)
    return list(grouped.values())


def _once_each(found: Iterable[Elements], unique: int) -> Iterator[Elements]:
    seen: set[str] = set()
    for answer in found:
        if (uid := answer.text(unique)) not in seen:
            seen.add(uid)
            yield answer


def _refused(study_uid: str, unusable: int) -> tuple[Refused, ...]:
    if not unusable:
        return ()
    reason = f"{unusable} answers to queries about this study cannot be read, or lack the UID that they are about"
    return (Refused(locator=study_uid, code="unusable-answers", reason=reason),)
