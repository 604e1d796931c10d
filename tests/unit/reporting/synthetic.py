"""Facts as a real migration gives them, in any number, and with any text in every field."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Callable
from typing import Any

import attrs
from attrs import evolve

from vna_lifecycle.policy.readiness import Standing
from vna_lifecycle.reporting.facts import (
    Amount,
    Attempt,
    Excluded,
    Facts,
    FindingKind,
    Found,
    Gate,
    GateDecision,
    LedgerHead,
    Moment,
    Observed,
    Obstacle,
    Pictures,
    Requirement,
    SignOffOnRecord,
    SourceReport,
    Step,
    StudyPath,
    WaiverOnRecord,
    WaveReport,
)

START = dt.datetime(2026, 4, 1, 8, 30, tzinfo=dt.UTC)
UID = "1.2.840.113619.2.55.3.604688119.971.1172592142.{}"


def at(hours: float) -> str:
    return (START + dt.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


PILOT = WaveReport(
    name="pilot",
    studies=180,
    instances=38_412,
    size=21_400_000_000,
    imported=180,
    ready=True,
    states=(("transferred", 180),),
    requirements=(
        Requirement(name="imported", standing=Standing.MET, sentence="All 180 studies are imported."),
        Requirement(
            name="completeness", standing=Standing.MET, sentence="completeness ran, and found nothing against the wave."
        ),
        Requirement(
            name="attributes",
            standing=Standing.WAIVED,
            sentence="attributes found 3 over-long values.",
            note="Waived by Dr. Ada Okafor, head of imaging, until 31 Dec 2026: read as intended on both viewers.",
        ),
        Requirement(
            name="sign-off",
            standing=Standing.MET,
            sentence="Signed by Dr. Ada Okafor, head of imaging, on 28 Apr 2026.",
        ),
    ),
    attempts=(
        Attempt(
            number=1,
            time=at(500),
            outcome="failed",
            population=180,
            sampled=118,
            defective=2,
            confidence=0.95,
            max_defect_rate=0.005,
            blockers=2,
            checks=(("completeness", "vna-lifecycle 0.1"), ("identity", "vna-lifecycle 0.1")),
            sentence="118 of 180 studies were examined and 2 had a defect that counts: not accepted.",
        ),
        Attempt(
            number=2,
            time=at(640),
            outcome="passed",
            population=180,
            sampled=143,
            defective=0,
            confidence=0.95,
            max_defect_rate=0.005,
            checks=(("completeness", "vna-lifecycle 0.1"), ("identity", "vna-lifecycle 0.1")),
            sentence=(
                "143 of 180 studies were examined and none had a defect that counts. With 95 % confidence, at most "
                "0.5 % of the wave's studies have one that these checks would find."
            ),
        ),
    ),
)
REST = WaveReport(
    name="cross-sectional 2020-2025",
    studies=2_412,
    instances=1_204_113,
    size=912_300_000_000,
    imported=2_409,
    ready=False,
    reasons=(
        "2 studies incomplete at the target",
        "1 study held back: one patient ID for two people",
        "Not accepted: acceptance has not examined it",
    ),
    states=(("transferred", 2_409), ("incomplete", 2), ("held", 1)),
    requirements=(
        Requirement(
            name="imported",
            standing=Standing.FAILED,
            sentence="3 of 2,412 studies are not imported.",
            remedy="Decide for each: see the findings, then transfer the wave again.",
        ),
        Requirement(
            name="acceptance",
            standing=Standing.MISSING,
            sentence="No acceptance has examined this wave.",
            remedy="vna-lifecycle accept 'cross-sectional 2020-2025'",
        ),
        Requirement(
            name="truth",
            standing=Standing.NOT_ASSESSED,
            sentence="What the old archive's database says was not compared: no extract was given.",
        ),
    ),
)
FINDINGS = (
    FindingKind(
        kind="several-contents-content",
        severity="blocker",
        check="fetch",
        findings=2,
        waived=0,
        message="The source holds different images under one SOP Instance UID; none of them was stored.",
        remedy="Decide which is the true one: vna-lifecycle remediate --choose UID=SHA256 --by PERSON --reason WHY",
        waves=("cross-sectional 2020-2025",),
        examples=(
            Found(
                study_uid=UID.format(467),
                study="abcd",
                wave="cross-sectional 2020-2025",
                objects=tuple(UID.format(f"467.{n}") for n in range(4)),
                objects_total=17,
            ),
            Found(
                study_uid=UID.format(468),
                study="abce",
                wave="cross-sectional 2020-2025",
                objects_total=1,
                objects=(UID.format("468.1"),),
            ),
        ),
    ),
    FindingKind(
        kind="one-id-two-people",
        severity="blocker",
        check="identity",
        findings=1,
        waived=0,
        message="One patient ID of one issuer names two people by name, birth date and sex.",
        remedy="Ask the master patient index which of the two is meant, and correct or exclude the study.",
        waves=("cross-sectional 2020-2025",),
        examples=(Found(study_uid=UID.format(512), study="abcf", wave="cross-sectional 2020-2025"),),
    ),
    FindingKind(
        kind="over-long-value",
        severity="warning",
        check="attributes",
        findings=3,
        waived=3,
        message="A value is longer than its value representation allows.",
        remedy="See whether the target cuts it; waive it if the viewers show it in full.",
        waves=("pilot",),
        examples=(Found(study_uid=UID.format(12), study="abcg", wave="pilot", waived=True),),
    ),
)
STUDIES = (
    StudyPath(
        study_uid=UID.format(512),
        study="abcf",
        wave="cross-sectional 2020-2025",
        state="held",
        why="one id two people",
        steps=(Step(state="planned", time=at(1)), Step(state="held", time=at(2))),
    ),
    StudyPath(
        study_uid=UID.format(467),
        study="abcd",
        wave="cross-sectional 2020-2025",
        state="incomplete",
        why="2 of 240 instances held back: several contents under one UID",
        steps=tuple(
            Step(state=state, time=at(1 + hours))
            for hours, state in enumerate(("planned", "fetched", "storing", "stored", "incomplete"))
        ),
    ),
    StudyPath(
        study_uid=UID.format(12),
        study="abcg",
        wave="pilot",
        state="transferred",
        steps=tuple(
            Step(state=state, time=at(1 + hours))
            for hours, state in enumerate(("planned", "fetched", "storing", "stored", "transferred"))
        ),
    ),
)
REALISTIC = Facts(
    program="Old PACS to VNA",
    time=at(720),
    software="vna_lifecycle 0.1.0",
    target="vna",
    gate=Gate(
        allowed=False,
        obstacles=(
            Obstacle(
                waves=("cross-sectional 2020-2025",),
                sentence="2 studies are incomplete at the target: the old archive has different images under one UID.",
                remedy="Decide which image is the true one, then transfer the wave again.",
                who="The imaging engineer, with the radiologist who knows the study",
            ),
            Obstacle(
                waves=("cross-sectional 2020-2025",),
                sentence="Acceptance has not examined it.",
                remedy="vna-lifecycle accept 'cross-sectional 2020-2025'",
                who="The imaging engineer",
            ),
            Obstacle(
                sentence="14 files at the sources are no DICOM objects that can be trusted.",
                remedy="Look at each of them (vna-lifecycle findings); restore from backup, or waive with a reason.",
                who="The records officer",
            ),
        ),
        decisions=(GateDecision(time=at(700), allowed=False, by="grace", reason="weekend of the switch", reasons=4),),
    ),
    ledger=LedgerHead(
        size=20_911,
        root="8f2c" * 16,
        origin="vna-lifecycle/5bd1e995c3a1f0aa",
        checkpoint="vna-lifecycle/5bd1e995c3a1f0aa\n20911\njyyPLI8sjyyPLI8sjyyPLI8sjyyPLI8sjyyPLI8sjyw=\n\n"
        "— vna-lifecycle/5bd1e995c3a1f0aa Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9v\n",
        public_key="MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
    ),
    waves=(PILOT, REST),
    sources=(
        SourceReport(
            archive="old",
            inventory=3,
            studies=2_604,
            instances=1_242_900,
            size=934_000_000_000,
            refused=14,
            truth="headers only: no extract of its database was given",
            observed=(
                Observed(name="stable-uids", value="yes"),
                Observed(name="duplicates", value="0.4", unit="%"),
                Observed(name="transfer-syntaxes", value="JPEG Lossless, Explicit VR Little Endian"),
            ),
            beyond_dicom=(("annotations in the database", ""), ("scanned paper", "exported as PDF, wave 3")),
        ),
    ),
    pictures=Pictures(
        years=tuple(
            Amount(label=str(year), studies=40 + (year - 2009) ** 2, size=(year - 2008) * 10**10)
            for year in range(2009, 2026)
        ),
        undated=12,
        modalities=tuple(
            Amount(label=name, studies=count, size=count * 3 * 10**8)
            for name, count in (("CT", 1203), ("MR", 801), ("CR", 322), ("US", 190), ("RTSTRUCT", 12), ("SR", 4))
        ),
        sizes=tuple(
            Amount(label=label, studies=count, size=count * 10**7)
            for label, count in (("<1 MB", 12), ("<10 MB", 301), ("<100 MB", 1402), ("<1 GB", 804), ("≥1 GB", 85))
        ),
    ),
    burn_up=tuple(
        Moment(time=at(day * 24), imported=min(2_589, day * 102), ready=180 if day > 27 else 0) for day in range(31)
    ),
    findings=FINDINGS,
    studies=STUDIES,
    studies_total=2_604,
    excluded=(Excluded(reason="phantoms and tests", studies=12),),
    waivers=(
        WaiverOnRecord(
            wave="pilot",
            finding="over-long-value",
            findings=3,
            by="Dr. Ada Okafor",
            role="head of imaging",
            reason="read as intended on both viewers",
            given=at(600),
            expires="2026-12-31",
            standing="in force",
            signed=True,
        ),
    ),
    sign_offs=(
        SignOffOnRecord(
            wave="pilot",
            attempt=2,
            by="Dr. Ada Okafor",
            role="head of imaging",
            meaning="accepted for clinical use",
            given=at(650),
            expires="",
            standing="in force",
            signed=True,
        ),
    ),
)
EMPTY = Facts(
    program="New program",
    time=at(0),
    software="vna_lifecycle 0.1.0",
    gate=Gate(allowed=False, obstacles=(Obstacle(sentence="Nothing is planned.", remedy="vna-lifecycle plan"),)),
    ledger=LedgerHead(size=1, root="00" * 32),
)


def many(waves: int) -> Facts:
    """As many waves as asked for, the first third of them ready, all of the others in the way of cutover."""
    made = [evolve(PILOT if n < waves // 3 else REST, name=f"CT and MR, part {n + 1:02}") for n in range(waves)]
    names = [wave.name for wave in made if not wave.ready]
    obstacles = (
        Obstacle(waves=tuple(names), sentence="Acceptance has not examined them.", remedy="vna-lifecycle accept"),
        *(Obstacle(waves=(name,), sentence="2 studies are incomplete at the target.") for name in names),
    )
    return evolve(REALISTIC, waves=tuple(made), gate=Gate(allowed=False, obstacles=obstacles))


def allowed() -> Facts:
    """Everything is ready."""
    return evolve(
        REALISTIC,
        waves=(PILOT,),
        gate=Gate(
            allowed=True, decisions=(GateDecision(time=at(719), allowed=True, by="grace", reason="all is ready"),)
        ),
    )


def large() -> Facts:
    """What is left of 100,000 studies in the page."""
    rng = random.Random(7)
    return evolve(
        many(12),
        studies=tuple(evolve(rng.choice(STUDIES), study_uid=UID.format(n * 7_919), study=f"s{n}") for n in range(200)),
        studies_total=100_000,
        findings=tuple(evolve(kind, findings=12_345) for kind in FINDINGS),
        pictures=Pictures(
            years=tuple(Amount(label=str(year), studies=rng.randrange(5_000)) for year in range(1986, 2026)),
            modalities=tuple(
                Amount(label=name, studies=70_001 - n * 7_000)
                for n, name in enumerate(("CT", "MR", "CR", "DX", "US", "MG", "NM", "PT", "XA", "others"))
            ),
            sizes=REALISTIC.pictures.sizes,
        ),
    )


def with_text(text: Callable[[], str], facts: Facts = REALISTIC) -> Facts:
    """The same facts with other text in every field that can hold any. ``text`` gives the next one."""

    def replaced(value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            return value if name in _OURS or not value else text()
        if isinstance(value, tuple):
            return tuple(replaced(item, name) for item in value)
        if attrs.has(type(value)):
            return evolve(
                value,
                **{field.name: replaced(getattr(value, field.name), field.name) for field in attrs.fields(type(value))},
            )
        return value

    changed: Facts = replaced(facts)
    return changed


_OURS: frozenset[str] = frozenset()
"""Fields that only this software fills: none is trusted."""


def endlessly(texts: list[str]) -> Callable[[], str]:
    return itertools.cycle(texts).__next__
