"""Correcting what a program's target set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vna_lifecycle.engine.progress import Tell, silent
from vna_lifecycle.engine.remedy_record import RemedyRequest, RemedyResult
from vna_lifecycle.engine.remedying import remedy
from vna_lifecycle.engine.sweeping import sweep_when_verified
from vna_lifecycle.errors import ConfigurationError, StateError
from vna_lifecycle.program.deciding import known_person
from vna_lifecycle.program.running import Pacing, local_bench

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program


def remedy_set_aside(
    program: Program, subject: str, *, by: str, reason: str, dry_run: bool = False, tell: Tell = silent
) -> RemedyResult:
    """Correct what the target set aside of a wave, or of one study by its UID or label; see `remedy`.

    Raises:
        ConfigurationError: the person is not known, or there is no reason.
        StateError: there is no such wave or study, the target sets nothing aside, or the study is not incomplete.
        ArchiveError: the target had to be left; the same call goes on from there.
    """
    person = known_person(program, by)
    if not reason.strip():
        raise ConfigurationError("a change needs a reason", hint="Say --reason WHY")
    with program.records.effects("remedy") as journal:
        journal.sync()
        wave, study = (subject, "") if subject in program.waves() else _study(program, subject)
        bench = local_bench(program, Pacing(program.config.execution, program.clock))
        request = RemedyRequest(by=person, reason=reason, study=study, dry_run=dry_run)
        migration = program.config.migration
        result = remedy(journal, bench, wave, migration.target, migration.verify, request, tell)
        if not dry_run:
            sweep_when_verified(journal, bench, wave, migration.target)
        return result


def _study(program: Program, subject: str) -> tuple[str, str]:
    label = program.records.study(subject)
    work = program.catalog.work_on(label)
    if work is None or not work.wave:
        raise StateError("there is no wave or planned study of that name", hint="See: vna-lifecycle findings")
    return work.wave, label
