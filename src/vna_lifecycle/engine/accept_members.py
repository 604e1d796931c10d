"""Which studies a check may speak about."""

from __future__ import annotations

import functools
from collections.abc import Callable

from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.model.identity import StudyRef


def members_of(journal: Journal, wave: str) -> Callable[[StudyRef], bool]:
    """Whether a study is one of a wave's, and called by its own names."""

    @functools.lru_cache(maxsize=10_000)
    def belongs(study: StudyRef) -> bool:
        work = journal.catalog.work_on(study.label)
        return work is not None and (work.wave, work.ref) == (wave, study)

    return belongs
