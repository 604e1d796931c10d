"""Archives that tell of studies only under their patient: who the patients are, and whose each study is.

A strictly hierarchical query needs one value for the unique key of every level above its own (PS3.4 C.4.1.2.1,
C.4.1.3.1.1). So patients are asked for first, then the studies of each; and whose a study is, is kept for later.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from vna_lifecycle.adapters.dimse import answers as at
from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.forbearance import Forbearance
from vna_lifecycle.adapters.dimse.wire import Elements, Keys
from vna_lifecycle.adapters.dividing import Answered, Divider, remarks
from vna_lifecycle.adapters.habits import known_cap
from vna_lifecycle.adapters.windows import UNDATED, Window
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.inventory import Refused

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Stream = Callable[[Keys, list[ArchiveError]], Iterator[Elements]]
"""Asks a query, and puts the archive's own refusal of it into the list."""

_APPLICATION_ID: Final = 0x564E4144  # "VNAD"
_TABLE: Final = (
    "CREATE TABLE study (study_uid BLOB, patient_id BLOB, PRIMARY KEY (study_uid, patient_id)) WITHOUT ROWID"
)
_PUT: Final = "INSERT OR IGNORE INTO study VALUES (?, ?)"
_WHOSE: Final = "SELECT patient_id FROM study WHERE study_uid = ? ORDER BY patient_id"
_IN_A_PART: Final = 25
"""Patients of a part, on average."""

_NOT_TO_BE_ASKED_FOR: Final = frozenset("*?\\")


class Patients:
    """The patients of one archive."""

    def __init__(self, caller: Caller, stream: Stream) -> None:
        self._caller = caller
        self._stream = stream
        self._needed: bool | None = None if caller.settings.query_model == "patient-root" else False
        self._groups: dict[str, list[str]] | None = None
        self._remarks: tuple[Refused, ...] = ()
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    @property
    def needed(self) -> bool:
        """Whether studies are only told of under their patient: a query without one shows none, although there are.

        Raises:
            ArchiveError: the archive did not answer.
        """
        if self._needed is None:
            refusals: list[ArchiveError] = []
            if self._shows({at.LEVEL: "STUDY", at.STUDY_UID: "", at.PATIENT_ID: ""}, refusals):
                self._needed = False
                return False
            unheard: list[ArchiveError] = []
            there = self._shows({at.LEVEL: "PATIENT", at.PATIENT_ID: ""}, unheard)
            if not there and (unheard or not refusals):
                return False  # it has nothing yet, or does not tell of patients either
            self._needed = True
        return self._needed

    def all(self) -> list[str]:
        """Every Patient ID that studies can be asked for by, sorted; asked for anew.

        Raises:
            ArchiveError: the archive did not answer.
        """
        settings = self._caller.settings
        cap = known_cap(self._caller.site)
        trusted = settings.trusted_answers if cap is None else min(cap, settings.trusted_answers)
        found: set[str] = set()
        unusable = 0
        forbearance = Forbearance(self._caller)

        def ask(window: Window, most: int | None) -> Answered:
            nonlocal unusable
            keys = {at.LEVEL: "PATIENT", at.PATIENT_ID: "", **window.keys}
            refusals: list[ArchiveError] = []
            answers = forbearance.asked(lambda: self._caller.again(lambda: list(self._stream(keys, refusals))))
            if isinstance(answers, ArchiveError) or refusals:
                refused = answers if isinstance(answers, ArchiveError) else refusals[0]
                return Answered(studies=frozenset(), records=0, refused=refused)
            answers = [answer for answer in answers if window.holds(answer)]
            told = {answer.text(at.PATIENT_ID) for answer in answers}
            usable = {patient for patient in told if patient and not _NOT_TO_BE_ASKED_FOR & set(patient)}
            found.update(usable)
            if window == UNDATED:
                unusable = len(told - usable)
            return Answered(studies=frozenset(usable), records=len(answers))

        divider = Divider(ask, limit=settings.studies_per_part, trusted=trusted)
        for _ in divider.parts(()):
            pass
        self._remarks = (*remarks(divider), *_lost(unusable))
        patients = sorted(found)
        self._groups = _grouped(patients)
        return patients

    @property
    def remarks(self) -> tuple[Refused, ...]:
        """What the last look at all patients could not be sure of."""
        return self._remarks

    @property
    def groups(self) -> dict[str, list[str]]:
        """The patients of the last look at all of them, in groups, each by the Patient ID that comes before it.

        Raises:
            ArchiveError: nobody had looked yet, and the archive did not answer.
        """
        if self._groups is None:
            self.all()
        return self._groups or {}

    def of(self, study_uid: str) -> list[str]:
        """The patients whose the study is, as far as inventories, or objects that were moved, have shown."""
        with self._opened().connect() as connection:
            rows = connection.exec_driver_sql(_WHOSE, (_bytes(study_uid),)).all()
        return [row.patient_id.decode("utf-8", "surrogatepass") for row in rows]

    def remember(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Keep whose studies are: pairs of a Study Instance UID and a Patient ID."""
        from vna_lifecycle.database import writing

        rows = [(_bytes(study_uid), _bytes(patient)) for study_uid, patient in pairs if patient]
        if rows:
            with writing(self._opened()) as connection:
                connection.exec_driver_sql(_PUT, rows)

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    def _shows(self, keys: Keys, refusals: list[ArchiveError]) -> bool:
        return self._caller.again(lambda: next(iter(self._stream(keys, refusals)), None)) is not None

    def _opened(self) -> Engine:
        from vna_lifecycle.database import Schema, open_sqlite

        with self._lock:
            if self._engine is None:
                schema = Schema(name="patients of studies", application_id=_APPLICATION_ID, version=1, create=_tables)
                self._engine = open_sqlite(self._caller.site.workspace / "patients.sqlite", schema=schema, create=True)
            return self._engine


def _tables(connection: Connection) -> None:
    connection.exec_driver_sql(_TABLE)


def _bytes(text: str) -> bytes:
    """Text as bytes: decoded DICOM text may hold what SQLite's TEXT refuses."""
    return text.encode("utf-8", "surrogatepass")


def _grouped(patients: Iterable[str]) -> dict[str, list[str]]:
    """Groups that end at patients who are chosen by chance: a new patient changes no other group."""
    groups: dict[str, list[str]] = {}
    before, group = "", list[str]()
    for patient in patients:
        group.append(patient)
        if int(hashlib.sha256(_bytes(patient)).hexdigest()[:8], 16) % _IN_A_PART == 0:
            groups[before] = group
            before, group = patient, []
    return {**groups, before: group} if group else groups


def _lost(unusable: int) -> Iterator[Refused]:
    if unusable:
        reason = (
            f"{unusable} patients have no Patient ID, or one with a character that no query can ask for: nobody knows "
            "of their studies, since this archive tells of studies only under their patient"
        )
        yield Refused(locator="patients", code="patients-not-askable", reason=reason)
