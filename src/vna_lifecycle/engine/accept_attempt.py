"""One acceptance of a wave: its sample, drawn and on record before anything is looked at, and those before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from attrs import evolve, frozen

from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.event import RecordedEvent, SampleDrawn, WaveExamined
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.policy.acceptance import AcceptancePolicy, Attempt, Outcome
from vna_lifecycle.policy.sampling import SampleDesign, allocate, attempt_confidence, draw_by_stratum
from vna_lifecycle.ports import StudyFacts, WaveCase

NO_IMAGES: Final = frozenset({"SR", "PR", "KO", "DOC", "SEG", "REG", "FID", "PLAN", "AU", "OT", ""})
"""Modalities that come along with others: they do not make a kind of study of their own."""

_LONGEST: Final = 64


@frozen(kw_only=True)
class Sample:
    """An attempt at a wave: what was drawn. ``chosen`` gives each drawn study's stratum by its label.

    ``earlier`` are the attempts that share its error; ``resumed`` says that it was begun before and cut off.
    """

    wave: str
    number: int
    sequence: int
    seed: str
    design: SampleDesign
    chosen: Mapping[str, str]
    earlier: tuple[Attempt, ...]
    resumed: bool

    @property
    def key(self) -> str:
        """What the idempotency keys of everything in this attempt begin with."""
        return _key(self.wave, self.number)


def open_attempt(
    journal: Journal,
    case: WaveCase,
    policy: AcceptancePolicy,
    *,
    strata: str,
    policy_sha256: str,
    seed: str,
    census: bool = False,
) -> Sample:
    """Take up the attempt that was cut off, or draw a new sample with ``seed`` (hexadecimal), and put it on record.

    An attempt that was cut off keeps its seed. If the wave or the policy is another one since, it ends unfinished, and
    counts like one that failed. A ``census`` examines every study.

    Raises:
        StateError: nothing of the wave was transferred, its studies are not in the catalog, or no attempt is left.
        ValueError: the seed was drawn before.
    """
    wave = case.wave
    transferred = journal.catalog.wave_status(wave).count(MigrationState.TRANSFERRED)
    if not transferred:
        raise StateError("nothing of the wave was transferred yet", hint=f"vna-lifecycle transfer {wave}")
    population_ref = journal.keep_members(_population(case, strata))
    counts = Counter(stratum for _, stratum in journal.members(population_ref))
    population = counts.total()
    if population != transferred:
        hint = "Take the inventory and plan again; then accept the wave"
        raise StateError(f"the catalog lists {population} of {transferred} transferred studies", hint=hint)

    history = _history(journal, wave)
    if history and history[-1][1] is None:
        cut_off = history[-1][0]
        drawn = _drawn(cut_off)
        design = _design(counts, drawn)
        same = (drawn.population_ref, drawn.policy_sha256, drawn.size) == (population_ref, policy_sha256, design.size)
        if same:
            earlier = _sharing(history[:-1])
            return _sample(journal, wave, cut_off, design, earlier, resumed=True)
        journal.record([_abandoned(journal, drawn)])
        history = _history(journal, wave)

    earlier = _sharing(history)
    confidence = _confidence(policy, earlier, census=census)
    if any(_drawn(event).seed == seed for event, _ in history):
        raise ValueError("a seed is drawn once")
    event = SampleDrawn(
        wave=wave,
        attempt=len(history) + 1,
        seed=seed,
        confidence=_decimal(confidence),
        max_defect_rate=_decimal(policy.max_defect_rate),
        population=population,
        size=population if census else allocate(counts, policy.max_defect_rate, confidence).size,
        population_ref=population_ref,
        policy_sha256=policy_sha256,
    )
    if event.size == population:
        event = evolve(event, confidence=_decimal(1.0))  # nothing is left to chance, so no error is spent
    [recorded] = journal.record([(f"{_key(wave, event.attempt)}/drawn", event)])
    return _sample(journal, wave, recorded, _design(counts, event), earlier, resumed=False)


def attempts(journal: Journal, wave: str) -> int:
    """How many attempts at a wave are on record."""
    return len(_history(journal, wave))


def stratum_of(study: StudyFacts, strata: str) -> str:
    """The kind of study that a study is, when samples are drawn by ``strata``: none, modality or year."""
    match strata:
        case "modality":
            images = [modality for modality in study.modalities if modality not in NO_IMAGES]
            return "+".join(images or study.modalities)[:_LONGEST] or "no modality"
        case "year":
            year = study.study_date[:4]
            return year if len(year) == 4 and year.isascii() and year.isdigit() else "no date"
        case _:
            return ""


def _population(case: WaveCase, strata: str) -> Iterator[tuple[str, str]]:
    for study in case.studies():
        if study.state == MigrationState.TRANSFERRED.value:
            yield study.study.label, stratum_of(study, strata)


def _key(wave: str, number: int) -> str:
    return f"accept/{wave}/{number}"


def _history(journal: Journal, wave: str) -> list[tuple[RecordedEvent, WaveExamined | None]]:
    """Every attempt: how it was drawn, and how it ended, if it did."""
    found: list[tuple[RecordedEvent, WaveExamined | None]] = []
    while (drawn := journal.ledger.find(f"{_key(wave, len(found) + 1)}/drawn")) is not None:
        ended = journal.ledger.find(f"{_key(wave, len(found) + 1)}/examined")
        found.append((drawn, ended.event if ended and isinstance(ended.event, WaveExamined) else None))
    return found


def _drawn(recorded: RecordedEvent) -> SampleDrawn:
    if not isinstance(recorded.event, SampleDrawn):
        raise TypeError("no sample was drawn by this event")
    return recorded.event


def _sharing(history: Sequence[tuple[RecordedEvent, WaveExamined | None]]) -> tuple[Attempt, ...]:
    """The attempts since the last pass whose samples could have passed the wave and did not: they share the error.

    One whose sample was clean and that something else blocked could not have passed it, whatever had been drawn.
    """
    sharing: list[Attempt] = []
    for recorded, ended in history:
        drawn = _drawn(recorded)
        if ended is None:
            continue
        if ended.outcome == Outcome.PASSED.value:
            sharing.clear()
        elif ended.defective or ended.sampled < drawn.size:
            sharing.append(
                Attempt(
                    number=drawn.attempt,
                    confidence=float(drawn.confidence),
                    population=drawn.population,
                    size=drawn.size,
                    examined=ended.sampled,
                    defective=ended.defective,
                    outcome=Outcome(ended.outcome),
                )
            )
    return tuple(sharing)


def _confidence(policy: AcceptancePolicy, earlier: Sequence[Attempt], *, census: bool) -> float:
    sampled = [attempt for attempt in earlier if attempt.size < attempt.population]
    if census:
        return 1.0
    if len(sampled) >= policy.attempts:
        raise StateError(
            f"{len(sampled)} samples of the wave failed, and the policy allows no more",
            hint="Put right what was found and examine every study (--census), or withdraw the wave and move it again",
        )
    spent = sum(1 - Decimal(str(attempt.confidence)) for attempt in sampled)
    return attempt_confidence(policy.confidence, policy.attempts, len(sampled) + 1, spent=float(spent))


def _design(counts: Mapping[str, int], drawn: SampleDrawn) -> SampleDesign:
    """What is drawn of each stratum: the same, whenever it is worked out again from what is on record."""
    rate, confidence = float(drawn.max_defect_rate), float(drawn.confidence)
    design = allocate(counts, rate, confidence)
    if drawn.size < drawn.population:
        return design
    shares = tuple(evolve(share, size=share.population) for share in design.shares)
    return evolve(design, size=design.population, shares=shares)


def _sample(
    journal: Journal,
    wave: str,
    recorded: RecordedEvent,
    design: SampleDesign,
    earlier: tuple[Attempt, ...],
    *,
    resumed: bool,
) -> Sample:
    drawn = _drawn(recorded)
    members = ((stratum, label) for label, stratum in journal.members(drawn.population_ref))
    sizes = {share.stratum: share.size for share in design.shares}
    picked = draw_by_stratum(drawn.seed, members, sizes)
    return Sample(
        wave=wave,
        number=drawn.attempt,
        sequence=recorded.sequence,
        seed=drawn.seed,
        design=design,
        chosen={label: stratum for stratum, labels in picked.items() for label in labels},
        earlier=earlier,
        resumed=resumed,
    )


def _abandoned(journal: Journal, drawn: SampleDrawn) -> tuple[str, WaveExamined]:
    event = WaveExamined(
        wave=drawn.wave,
        attempt=drawn.attempt,
        outcome=Outcome.UNFINISHED.value,
        sampled=0,
        defective=0,
        blockers=0,
        warnings=0,
        checks=(),
        not_assessed=(),
        result_ref=journal.keep_facts({"abandoned": "the wave or the policy changed before it ended"}),
    )
    return f"{_key(drawn.wave, drawn.attempt)}/examined", event


def _decimal(number: float) -> str:
    return f"{Decimal(str(number)):f}"
