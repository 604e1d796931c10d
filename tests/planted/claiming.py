"""An archive in memory that also claims things about its studies, as a plug-in named ``claiming``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import define, evolve, field, frozen

from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import Availability, InstanceRecord, Refused, StudyRecord
from vna_lifecycle.plugin import Registry, impl
from vna_lifecycle.ports import Archive, Fetched, FetchFailure, Part, Site, SourceAdapter, Spool, StudyQuery
from vna_lifecycle.testing.memory import MemorySettings, open_memory


@define
class Claims:
    """What the archive of a name says of its studies, and how near their objects are, by Study Instance UID."""

    studies: list[StudyRecord] = field(factory=list)
    availability: dict[str, Availability] = field(factory=dict)


_claims: dict[str, Claims] = {}


def claims_of(name: str) -> Claims:
    """The claims of the archive ``name``."""
    return _claims.setdefault(name, Claims())


def open_claiming(settings: MemorySettings, site: Site) -> Archive:
    """Open it."""
    archive = open_memory(settings, site)
    return evolve(archive, reads=_Reads(archive.reads, claims_of(settings.name)))


@impl
def vna_lifecycle_register(registry: Registry) -> None:
    """Register the archive ``claiming``."""
    registry.archive("claiming", MemorySettings, open_claiming)


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
            return
        for item in self._inner.inventory(part):
            yield self._placed(item) if isinstance(item, InstanceRecord) else item

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        return map(self._placed, self._inner.list_instances(study))

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        return self._inner.fetch(study, wanted, spool)

    def close(self) -> None:
        self._inner.close()

    def _placed(self, record: InstanceRecord) -> InstanceRecord:
        near = self._claims.availability.get(record.study_uid)
        return record if near is None else evolve(record, availability=near)
