"""Which studies of a wave a transfer takes up, and how much that is."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from attrs import frozen

from vna_lifecycle.catalog import Catalog, StudyWork
from vna_lifecycle.model.lifecycle import MigrationState

UNFINISHED = (MigrationState.PLANNED, MigrationState.FETCHED, MigrationState.STORING, MigrationState.STORED)
UNSUCCESSFUL = (MigrationState.FAILED, MigrationState.INCOMPLETE, MigrationState.WITHDRAWING)
BEING_STAGED = "being-staged"
NOT_THE_STUDYS_FAULT = frozenset({"archive-trouble", "worker-lost"})
PAGE = 500


@frozen(kw_only=True)
class Pending:
    """What a transfer of a wave would take up now, as the sources list it; ``size`` is in bytes."""

    wave: str
    studies: int
    instances: int
    size: int


def attempts_allowed(code: str, attempts: int) -> int:
    """How often a study is tried whose last failure was ``code``. What was not its own trouble counts for less.

    What is being staged is tried until its archive says that it will not come.
    """
    if code == BEING_STAGED:
        return sys.maxsize
    return attempts * (5 if code in NOT_THE_STUDYS_FAULT else 1)


def pages(catalog: Catalog, wave: str, *, attempts: int, retry: bool) -> Iterator[list[StudyWork]]:
    """The studies to take up, some hundreds at a time: unfinished ones, and failures that may pass.

    With ``retry`` also those that ended without success, or whose withdrawal did not end.
    """
    states = (*UNFINISHED, *UNSUCCESSFUL) if retry else (*UNFINISHED, MigrationState.FAILED)
    after = ""
    while page := catalog.work(wave, states, after=after, limit=PAGE):
        after = page[-1].label
        yield [work for work in page if retry or _goes_on(work, attempts)]


def _goes_on(work: StudyWork, attempts: int) -> bool:
    if work.state is MigrationState.FAILED:
        return work.transient and work.attempt < attempts_allowed(work.code, attempts)
    return True


def pending(catalog: Catalog, wave: str, *, attempts: int, retry: bool) -> Pending:
    """Count what a transfer would take up."""
    studies = instances = size = 0
    for page in pages(catalog, wave, attempts=attempts, retry=retry):
        for work in page:
            listed = catalog.study(work.study_uid)
            studies += 1
            instances += (listed.instances or 0) if listed else work.instances
            size += listed.size if listed else work.size
    return Pending(wave=wave, studies=studies, instances=instances, size=size)
