"""What the sources' own databases say, beside what was found: kept whole for each source, and compared in SQL."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from attrs import frozen
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Index,
    Integer,
    Row,
    Select,
    Table,
    Text,
    case,
    delete,
    distinct,
    func,
    or_,
    select,
)

from vna_lifecycle.catalog import canonical
from vna_lifecycle.catalog.asking import reference, stream
from vna_lifecycle.catalog.passes import studies_of
from vna_lifecycle.catalog.schema import METADATA, current, header, migration, patient, source, study, summary, variant
from vna_lifecycle.database import writing
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.ports import TruthDifference, TruthFlaw, TruthRecord

_BATCH: Final = 5_000
_TEXTS: Final = ("issuer", "patient_id", "accession_number", "patient_name", "study_date")
_COUNTS: Final = ("series_count", "instance_count")
_SHOWN: Final = 0
WITHHELD: Final = {1: "deleted", 2: "hidden"}
"""What keeps a study from readers at its source, and so from being planned; of several, the first counts."""

told = Table(
    "truth_record",
    METADATA,
    Column("archive", Text, primary_key=True),
    Column("study_uid", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in (*_TEXTS, "place", "again")),
    *(Column(name, Integer) for name in _COUNTS),
    *(Column(name, Integer, nullable=False) for name in ("deleted", "hidden", "withheld", "repeats", "contradicted")),
    Index("truth_record_by_study", "study_uid"),
    sqlite_with_rowid=False,
)
flaw = Table(
    "truth_flaw",
    METADATA,
    Column("archive", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    *(Column(name, Text, nullable=False) for name in ("place", "code", "message", "study_uid")),
    Column("used", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# A study that is told twice is deleted or hidden only where every record says so: in doubt it is not left behind.
_ADD: Final = f"""
INSERT INTO truth_record (archive, study_uid, {", ".join(_TEXTS)}, place, again, {", ".join(_COUNTS)},
                          deleted, hidden, withheld, repeats, contradicted)
VALUES ({", ".join("?" * (2 + len(_TEXTS)))}, ?, '', ?, ?, ?, ?, ?, 0, 0)
ON CONFLICT (archive, study_uid) DO UPDATE SET
  repeats = repeats + 1,
  again = CASE WHEN again = '' THEN excluded.place ELSE again END,
  contradicted = contradicted OR {" OR ".join(f"{name} IS NOT excluded.{name}" for name in (*_TEXTS, *_COUNTS))}
    OR deleted <> excluded.deleted OR hidden <> excluded.hidden,
  deleted = deleted AND excluded.deleted,
  hidden = hidden AND excluded.hidden,
  withheld = min(withheld, excluded.withheld)
"""  # noqa: S608 - our own names, and question marks
_ADD_FLAW: Final = "INSERT INTO truth_flaw VALUES (?, ?, ?, ?, ?, ?, ?)"


@frozen(kw_only=True)
class TruthTotals:
    """What a source's database says in all. Counts are studies, but ``flaws``: records with something unusable.

    ``repeated`` studies have several records, ``contradicted`` ones records that do not agree. ``content_sha256`` is a
    digest of all that was read, in order (hexadecimal).
    """

    studies: int
    deleted: int
    hidden: int
    flaws: int
    repeated: int
    contradicted: int
    content_sha256: str


def replace(
    connection: Connection, archive: str, items: Iterable[TruthRecord | TruthFlaw], move: Collection[str]
) -> TruthTotals:
    """Keep what a source's database says, in place of all that it said before; streamed."""
    forget(connection, archive)
    digest = hashlib.sha256()
    records: list[tuple[Any, ...]] = []
    flaws: list[tuple[Any, ...]] = []
    position = 0
    for item in items:
        if isinstance(item, TruthRecord):
            row = _row(item, move)
            records.append((archive, *row))
            digest.update(canonical.packed("record", *map(str, row)))
        else:
            position += 1
            words = (item.place, item.code, item.message, item.study_uid)
            digest.update(canonical.packed("flaw", *words, str(item.used)))
            flaws.append((archive, position, *map(canonical.stored, words), int(item.used)))
        if len(records) + len(flaws) >= _BATCH:
            _write(connection, records, flaws)
    _write(connection, records, flaws)
    return _totals(connection, archive, digest.hexdigest())


def forget(connection: Connection, archive: str) -> None:
    """The source's database says nothing any more."""
    for table in (told, flaw):
        connection.execute(delete(table).where(table.c.archive == archive))


def _write(connection: Connection, records: list[tuple[Any, ...]], flaws: list[tuple[Any, ...]]) -> None:
    for sql, rows in ((_ADD, records), (_ADD_FLAW, flaws)):
        if rows:
            connection.exec_driver_sql(sql, rows)
            rows.clear()


def _row(item: TruthRecord, move: Collection[str]) -> tuple[Any, ...]:
    kept = [code for code, what in WITHHELD.items() if getattr(item, what) and what not in move]
    texts = (item.patient.issuer, item.patient.id, item.accession_number, item.patient_name, item.study_date)
    return (
        *map(canonical.stored, (item.study_uid, *texts, item.place)),
        canonical.number(item.series_count),
        canonical.number(item.instance_count),
        int(item.deleted),
        int(item.hidden),
        min(kept, default=_SHOWN),
    )


def _totals(connection: Connection, archive: str, digest: str) -> TruthTotals:
    sums = (func.coalesce(func.sum(each), 0) for each in (told.c.deleted, told.c.hidden, told.c.contradicted))
    counted = select(func.count(), *sums, func.count(case((told.c.repeats > 0, 1)))).where(told.c.archive == archive)
    studies, deleted, hidden, contradicted, repeated = connection.execute(counted).one()
    places = select(func.count(distinct(flaw.c.place))).where(flaw.c.archive == archive)
    return TruthTotals(
        studies=studies,
        deleted=deleted,
        hidden=hidden,
        flaws=connection.execute(places).scalar_one(),
        repeated=repeated,
        contradicted=contradicted,
        content_sha256=digest,
    )


def withheld() -> Iterator[tuple[str, Select[int]]]:
    """Why studies are left out of a plan, each with the ids of those studies.

    A study that any source's database shows to readers there is not left out.
    """
    ours = told.c.archive.in_(select(source.c.archive))
    shown = select(told.c.study_uid).where(ours, told.c.withheld == _SHOWN)
    for code, what in WITHHELD.items():
        said = select(told.c.study_uid).where(ours, told.c.withheld == code)
        reason = f"{what} at the source"
        yield reason, select(study.c.id).where(study.c.uid.in_(said), study.c.uid.not_in(shown))


class Truth:
    """The sources' own databases beside their latest inventories, as of the last `Catalog.refresh_studies`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def replace(
        self, archive: str, items: Iterable[TruthRecord | TruthFlaw], *, move: Collection[str] = ()
    ) -> TruthTotals:
        """Keep what a source's database says, in place of all that it said before. If ``items`` raises, that stays.

        ``move`` names what does not keep a study from being planned: ``deleted``, ``hidden``.
        """
        with writing(self._engine) as connection:
            return replace(connection, archive, items, move)

    def forget(self, archive: str) -> None:
        """The source's database says nothing any more."""
        with writing(self._engine) as connection:
            forget(connection, archive)

    def known(self, archive: str) -> bool:
        """Whether the source's database says anything."""
        with self._engine.connect() as connection:
            found = connection.execute(select(told.c.archive).where(told.c.archive == archive).limit(1)).first()
        return found is not None

    def flaws(self, archive: str) -> Iterator[TruthFlaw]:
        """What of a source's database cannot be used, in the order of reading."""
        for row in stream(self._engine, select(flaw).where(flaw.c.archive == archive).order_by(flaw.c.position)):
            yield TruthFlaw(
                place=canonical.read(row.place),
                code=canonical.read(row.code),
                message=canonical.read(row.message),
                study_uid=canonical.read(row.study_uid),
                used=bool(row.used),
            )

    def repeated(self, archive: str) -> Iterator[tuple[StudyUID, tuple[str, str], bool]]:
        """Studies with several records: the UID, the first two places, and whether any two records disagree."""
        query = select(told.c.study_uid, told.c.place, told.c.again, told.c.contradicted)
        query = query.where(told.c.archive == archive, told.c.repeats > 0).order_by(told.c.study_uid)
        for uid, place, again, contradicted in stream(self._engine, query):
            yield StudyUID(canonical.read(uid)), (canonical.read(place), canonical.read(again)), bool(contradicted)

    def missing(self, archive: str, inventory: int) -> Iterator[tuple[StudyUID, str]]:
        """Studies that the database shows and a pass over the archive lacks: the UID and the record's place."""
        query = select(told.c.study_uid, told.c.place).where(
            told.c.archive == archive,
            told.c.deleted == 0,
            told.c.hidden == 0,
            told.c.study_uid.not_in(select(study.c.uid).where(study.c.id.in_(studies_of(inventory)))),
        )
        for uid, place in stream(self._engine, query.order_by(told.c.study_uid)):
            yield StudyUID(canonical.read(uid)), canonical.read(place)

    def unknown(self, archive: str, inventory: int) -> Iterator[StudyRef]:
        """Studies that a pass over the archive found and its database does not know, by label."""
        known = select(told.c.study_uid).where(told.c.archive == archive)
        query = select(study.c.uid, study.c.label).where(
            study.c.id.in_(studies_of(inventory)), study.c.uid.not_in(known)
        )
        for uid, label in stream(self._engine, query.order_by(study.c.label)):
            yield reference(uid, label)

    def differences(self, wave: str) -> Iterator[TruthDifference]:
        """Where a database and the headers that its own archive holds disagree about a wave's studies, by label.

        ``attribute`` is a keyword (PS3.6), or ``deleted``, ``hidden`` and ``unknown`` for studies that the database
        does not show or does not know. What the database does not say is not compared; an issuer that headers do not
        state is no difference.
        """
        told_of: set[tuple[str, TruthDifference]] = set()
        label = ""
        for row in stream(self._engine, _disagreeing(wave)):
            if row.label != label:
                label = row.label
                told_of.clear()
            for difference in _differences(row):
                if (row.archive, difference) not in told_of:
                    told_of.add((row.archive, difference))
                    yield difference


_COMPARED: Final = (
    # attribute, the database's column, the header's; patient and study attributes
    ("PatientID", told.c.patient_id, patient.c.patient_id),
    ("IssuerOfPatientID", told.c.issuer, patient.c.issuer),
    ("AccessionNumber", told.c.accession_number, header.c.accession_number),
    ("PatientName", told.c.patient_name, header.c.patient_name),
    ("StudyDate", told.c.study_date, header.c.study_date),
)


def _disagreeing(wave: str) -> Select[*tuple[Any, ...]]:
    """The headers of a wave's studies, each with what its archive's database says, where that is not the same."""
    members = (
        select(study.c.id)
        .join_from(migration, study, study.c.label == migration.c.label)
        .where(migration.c.wave == wave, migration.c.wave != "")
    )
    held = (
        select(
            current.c.study,
            current.c.source,
            func.count(distinct(case((current.c.instances > 0, variant.c.series_uid)))).label("series"),
            func.sum(current.c.instances - current.c.repeats).label("instances"),
        )
        .join_from(current, variant, variant.c.id == current.c.variant)
        .where(current.c.study.in_(members))
        .group_by(current.c.study, current.c.source)
        .subquery()
    )
    # Over one source the summary counts distinct objects; over several it cannot tell one source's from another's.
    alone = func.json_array_length(summary.c.sources) == 1
    series = case((alone, summary.c.series), else_=held.c.series)
    instances = case((alone, summary.c.instances), else_=held.c.instances)
    told_at_all = select(told.c.archive).distinct()
    shown = select(told.c.study_uid).where(told.c.archive.in_(select(source.c.archive)), told.c.withheld == _SHOWN)
    headers = select(current.c.study, current.c.source, current.c.header).distinct().subquery()
    differ: list[ColumnElement[bool]] = [
        (ours != "") & (ours != theirs) for _, ours, theirs in _COMPARED if ours is not told.c.issuer
    ]
    differ.append((told.c.issuer != "") & (patient.c.issuer != "") & (told.c.issuer != patient.c.issuer))
    differ += [told.c.series_count != series, told.c.instance_count != instances]
    return (
        select(
            study.c.uid,
            study.c.label,
            source.c.archive,
            told.c.study_uid.label("known"),
            told.c.withheld,
            *(column.label(f"{attribute}_told") for attribute, column, _ in _COMPARED),
            *(column.label(attribute) for attribute, _, column in _COMPARED),
            told.c.series_count,
            told.c.instance_count,
            series.label("series"),
            instances.label("instances"),
        )
        .join_from(held, headers, (headers.c.study == held.c.study) & (headers.c.source == held.c.source))
        .join(source, source.c.rank == held.c.source)
        .join(study, study.c.id == held.c.study)
        .join(summary, summary.c.study == held.c.study)
        .join(header, header.c.id == headers.c.header)
        .join(patient, patient.c.id == header.c.patient)
        .join(told, (told.c.archive == source.c.archive) & (told.c.study_uid == study.c.uid), isouter=True)
        .where(
            source.c.archive.in_(told_at_all),
            or_(
                told.c.study_uid.is_(None),
                (told.c.withheld != _SHOWN) & study.c.uid.not_in(shown),
                (told.c.withheld == _SHOWN) & or_(*differ),
            ),
        )
        .order_by(study.c.label, source.c.rank, header.c.digest)
    )


def _differences(row: Row[*tuple[Any, ...]]) -> Iterator[TruthDifference]:
    ref = reference(row.uid, row.label)
    if row.known is None:
        yield TruthDifference(study=ref, attribute="unknown", header="", truth="")
        return
    if row.withheld != _SHOWN:
        yield TruthDifference(study=ref, attribute=WITHHELD[row.withheld], header="", truth="")
        return
    values = row._mapping
    for attribute, _, _ in _COMPARED:
        found, said = canonical.read(values[attribute]), canonical.read(values[f"{attribute}_told"])
        if said and found != said and (found or attribute != "IssuerOfPatientID"):
            yield TruthDifference(study=ref, attribute=attribute, header=found, truth=said)
    for keyword, counted, number in (
        ("NumberOfStudyRelatedSeries", row.series, row.series_count),
        ("NumberOfStudyRelatedInstances", row.instances, row.instance_count),
    ):
        if number is not None and counted is not None and counted != number:
            yield TruthDifference(study=ref, attribute=keyword, header=str(counted), truth=str(number))
