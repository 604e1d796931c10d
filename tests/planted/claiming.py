"""An archive in memory that also claims things about its studies, as a plug-in named ``claiming``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import define, evolve, field, frozen

from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import Availability, InstanceRecord, Refused, StudyRecord
from vna_lifecycle.plugin import Registry, impl
from vna_lifecycle.ports import (
    Archive,
    Fetched,
    FetchFailure,
    Part,
    Site,
    SourceAdapter,
    Spool,
    StudyQuery,
    TruthRecord,
)
from vna_lifecycle.testing.memory import MemorySettings, open_memory


@define
class Claims:
    """What the archive of a name says of its studies, how near their objects are, and what its database has.

    By Study Instance UID. An archive whose database has nothing is one without a database.
    """

    studies: list[StudyRecord] = field(factory=list)
    availability: dict[str, Availability] = field(factory=dict)
    database: dict[str, TruthRecord] = field(factory=dict)
    unserved: list[str] = field(factory=list)
    """Locators of objects that are listed, and that nobody gets."""
    unlisted: list[Refused] = field(factory=list)
    """What it sent and does not list."""


_claims: dict[str, Claims] = {}


def claims_of(name: str) -> Claims:
    """The claims of the archive ``name``."""
    return _claims.setdefault(name, Claims())


def open_claiming(settings: MemorySettings, site: Site) -> Archive:
    """Open it."""
    archive, claims = open_memory(settings, site), claims_of(settings.name)
    return evolve(
        archive,
        reads=_Reads(archive.reads, claims),
        truth=_Database(claims) if claims.database else None,
    )


@impl
def vna_lifecycle_register(registry: Registry) -> None:
    """Register the archive ``claiming``."""
    registry.archive("claiming", MemorySettings, open_claiming)


@frozen
class _Database:
    _claims: Claims

    def truth(self) -> Iterator[TruthRecord]:
        yield from self._claims.database.values()


@frozen
class _Reads:
    _inner: SourceAdapter
    _claims: Claims

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        return self._inner.find_studies(query)

    def parts(self) -> Iterator[Part]:
        yield Part(key="-1")
        yield from self._inner.parts()

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        if part.key == "-1":
            yield from self._claims.studies
            yield from self._claims.unlisted
            return
        for item in self._inner.inventory(part):
            yield self._placed(item) if isinstance(item, InstanceRecord) else item

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        return map(self._placed, self._inner.list_instances(study))

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        for record in wanted:
            if record.locator in self._claims.unserved:
                yield FetchFailure(record=record, code="unreadable", message="the medium has errors")
        yield from self._inner.fetch(
            study, [record for record in wanted if record.locator not in self._claims.unserved], spool
        )

    def close(self) -> None:
        self._inner.close()

    def _placed(self, record: InstanceRecord) -> InstanceRecord:
        near = self._claims.availability.get(record.study_uid)
        return record if near is None else evolve(record, availability=near)
