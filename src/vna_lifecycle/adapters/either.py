"""Reading a place that is a store of this software or anything else: which of the two is looked up at each call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Part, SourceAdapter, Spool, StudyQuery


class EitherReader(ABC):
    """Reads as one of two sources, at each call as the one that fits then: the first object makes a store."""

    @abstractmethod
    def _now(self) -> SourceAdapter:
        """How to read it at this moment."""

    @abstractmethod
    def close(self) -> None:
        """Close what both hold open."""

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """Fast in a store; elsewhere every header is read."""
        yield from self._now().find_studies(query)

    def parts(self) -> Iterator[Part]:
        """Ranges of studies in a store, of objects elsewhere."""
        yield from self._now().parts()

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Everything in one range."""
        yield from self._now().inventory(part)

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """Fast in a store; elsewhere every header is read."""
        yield from self._now().list_instances(study)

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted object, or why it cannot be had."""
        yield from self._now().fetch(study, wanted, spool)
