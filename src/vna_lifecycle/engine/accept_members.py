"""Which studies a check may speak about."""

from __future__ import annotations

from attrs import evolve

from vna_lifecycle.engine.examining import Answer
from vna_lifecycle.engine.examining_findings import CHECK_MISBEHAVED, ELSEWHERE, trouble_finding
from vna_lifecycle.engine.journal import Journal


def of_the_wave(journal: Journal, wave: str, answer: Answer) -> Answer:
    """What a wave check said, without what it says of studies that are not the wave's, or not called by their names.

    If there was such a thing, it counts as misbehaved; what else it says stands. Vault keys are made for the studies
    that have none, since findings may be about studies that have not moved.
    """
    named = {finding.study.label for finding in answer.findings if finding.study is not None}
    if not named:
        return answer
    members = journal.catalog.members(wave, named)
    mine = tuple(
        finding
        for finding in answer.findings
        if finding.study is None or members.get(finding.study.label) == finding.study.study_uid
    )
    journal.begin_scopes(sorted({finding.study.label for finding in mine if finding.study is not None}))
    if len(mine) == len(answer.findings):
        return answer
    told = trouble_finding(CHECK_MISBEHAVED, ELSEWHERE, answer.check, None)
    return evolve(answer, findings=(*mine, told), ended=True, assessed=False)
