"""May this wave be used for care? A pure decision, with all that is required, measured, waived and missing."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from html import escape

from attrs import field, frozen

from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.finding import Severity


class Standing(enum.Enum):
    """How a requirement stands.

    MET and WAIVED (a named person accepts what speaks against it) let go on. FAILED was looked at and is not so,
    MISSING was not done yet, NOT_ASSESSED could not be told.
    """

    MET = "met"
    WAIVED = "waived"
    FAILED = "failed"
    MISSING = "missing"
    NOT_ASSESSED = "not-assessed"

    @property
    def allows(self) -> bool:
        """Whether this is no reason against."""
        return self in (Standing.MET, Standing.WAIVED)


@frozen(kw_only=True)
class Requirement:
    """One thing that is required: its short name, how it stands, and that in plain words."""

    name: str
    standing: Standing
    detail: str

    def __str__(self) -> str:
        return f"{'+' if self.standing.allows else '-'} {self.detail}"


@frozen(kw_only=True)
class FoundKind:
    """The open findings of one kind. ``waived`` of these ``count`` are covered by waivers that hold."""

    kind: str
    severity: str
    count: int
    waived: int = 0

    @property
    def blocking(self) -> int:
        """How many block, as nobody accepts them."""
        return self.count - self.waived if self.severity == Severity.BLOCKER.value else 0


@frozen(kw_only=True)
class AttemptFacts:
    """One acceptance of the wave, as it is on record.

    ``current`` is False once something of the wave moved after its sample was drawn. ``reasons`` say why it did not
    pass, ``assessed`` names the checks that gave a result.
    """

    number: int
    outcome: str
    population: int
    size: int
    sampled: int
    defective: int
    confidence: str
    max_defect_rate: str
    assessed: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()
    current: bool = True


@frozen(kw_only=True)
class SignOffFacts:
    """A sign-off on record. ``void`` says why it does not hold, or ``""``."""

    by: str
    role: str
    attempt: int
    void: str = ""


@frozen(kw_only=True)
class WaiverFacts:
    """A waiver that does not hold although some of what it covers is open, and why."""

    waiver: str
    by: str
    finding: str
    void: str


@frozen(kw_only=True)
class Terms:
    """What program.toml asks of a wave: the checks that must give a result, who must sign, and how sure a pass is."""

    checks: tuple[str, ...] = ()
    sign_offs: tuple[str, ...] = ()
    attempts: int = 3
    confidence: float = 0.95
    max_defect_rate: float = 0.005


@frozen(kw_only=True)
class WaveFacts:
    """What readiness is decided from. Counts are studies.

    ``held`` pairs each kind of finding that holds studies back with their number. ``lapsed`` are waivers that do not
    hold.
    """

    name: str
    studies: int
    imported: int
    incomplete: int = 0
    failed: int = 0
    withdrawn: int = 0
    held: tuple[tuple[str, int], ...] = ()
    paused: bool = False
    findings: tuple[FoundKind, ...] = ()
    attempts: tuple[AttemptFacts, ...] = ()
    sign_offs: tuple[SignOffFacts, ...] = ()
    lapsed: tuple[WaiverFacts, ...] = ()

    @property
    def remaining(self) -> int:
        """Studies that have not come to any end."""
        ended = self.imported + self.incomplete + self.failed + self.withdrawn
        return self.studies - ended - sum(count for _, count in self.held)


@frozen(kw_only=True)
class Readiness:
    """Whether a wave may be used for care, every reason why not, and everything that was required."""

    ready: bool
    blockers: tuple[str, ...]
    requirements: tuple[Requirement, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return "\n".join(["ready" if self.ready else "not ready", *(f"  {each}" for each in self.requirements)])

    def _repr_html_(self) -> str:
        """For notebooks."""
        items = "".join(f"<li>{escape(str(each))}</li>" for each in self.requirements)
        return f"<p><strong>{'ready' if self.ready else 'not ready'}</strong></p><ul>{items}</ul>"

    def to_dicts(self) -> list[dict[str, str]]:
        """One row for each requirement, for a data frame."""
        return [
            {"name": each.name, "standing": each.standing.value, "detail": each.detail} for each in self.requirements
        ]


def wave_readiness(wave: WaveFacts, terms: Terms) -> Readiness:
    """A wave is ready when every study is transferred and acceptance says so. Completion alone never makes it ready."""
    requirements = (
        *_transferred(wave),
        *findings_required(wave.findings, wave.lapsed, what="wave"),
        *_accepted(wave, terms),
        *_signed(wave, terms),
        Requirement(
            name="running",
            standing=Standing.FAILED if wave.paused else Standing.MET,
            detail="the wave is paused" if wave.paused else "nobody paused the wave",
        ),
    )
    blockers = tuple(each.detail for each in requirements if not each.standing.allows)
    return Readiness(ready=not blockers, blockers=blockers, requirements=requirements)


def _transferred(wave: WaveFacts) -> Iterator[Requirement]:
    name = "transferred"
    if wave.studies == 0:
        yield Requirement(name=name, standing=Standing.MISSING, detail="the wave is empty")
        return
    figures = [
        (Standing.FAILED, wave.incomplete, "incomplete at the target"),
        (Standing.FAILED, wave.failed, "failed"),
        (Standing.FAILED, wave.withdrawn, "withdrawn from the target"),
        *((Standing.FAILED, count, f"held back before storing: {kind}") for kind, count in wave.held),
        (Standing.MISSING, wave.remaining, "not transferred yet"),
    ]
    lacking = [
        Requirement(name=name, standing=standing, detail=f"{counted(count, 'study')} {what}")
        for standing, count, what in figures
        if count
    ]
    yield from lacking
    if not lacking:
        said = f"{counted(wave.studies, 'study')} at the target, read back and found equal"
        yield Requirement(name=name, standing=Standing.MET, detail=said)


def findings_required(found: Sequence[FoundKind], lapsed: Sequence[WaiverFacts], *, what: str) -> Iterator[Requirement]:
    """That no finding blocks which nobody waived; one requirement for each kind that does, or that is waived."""
    name = "findings"
    told = False
    for each in found:
        if each.severity != Severity.BLOCKER.value:
            continue
        told = True
        if each.blocking:
            why = "".join(
                f"; the waiver by {waiver.by} does not count: {waiver.void}"
                for waiver in lapsed
                if waiver.finding == each.kind
            )
            verb = "blocks" if each.blocking == 1 else "block"
            detail = f"{counted(each.blocking, 'finding')} of kind {each.kind} {verb} the {what}{why}"
            yield Requirement(name=name, standing=Standing.FAILED, detail=detail)
        if each.waived:
            verb = "is" if each.waived == 1 else "are"
            detail = f"{counted(each.waived, 'finding')} of kind {each.kind} {verb} waived"
            yield Requirement(name=name, standing=Standing.WAIVED, detail=detail)
    if not told:
        warnings = sum(each.count for each in found if each.severity == Severity.WARNING.value)
        look = f"; {counted(warnings, 'warning')} to look at" if warnings else ""
        yield Requirement(name=name, standing=Standing.MET, detail=f"no finding blocks the {what}{look}")


def _accepted(wave: WaveFacts, terms: Terms) -> Iterator[Requirement]:
    if not wave.attempts:
        detail = "not accepted: acceptance has not examined it"
        yield Requirement(name="acceptance", standing=Standing.MISSING, detail=detail)
        return
    last = wave.attempts[-1]
    yield Requirement(name="acceptance", standing=_verdict(last, terms), detail=_said(wave.attempts, terms))
    if last.outcome:
        unassessed = [name for name in terms.checks if name not in last.assessed]
        for name in unassessed:
            detail = f"the required check {name} gave no result"
            yield Requirement(name="checks", standing=Standing.NOT_ASSESSED, detail=detail)
        if not unassessed:
            detail = f"{counted(len(terms.checks), 'required check')} gave a result"
            yield Requirement(name="checks", standing=Standing.MET, detail=detail)


def _verdict(last: AttemptFacts, terms: Terms) -> Standing:
    if not last.current or not last.outcome or _weaker(last, terms):
        return Standing.MISSING
    return {"passed": Standing.MET, "failed": Standing.FAILED}.get(last.outcome, Standing.NOT_ASSESSED)


def _weaker(attempt: AttemptFacts, terms: Terms) -> bool:
    """Whether the sample was drawn for less than program.toml asks now."""
    sure = Decimal(attempt.confidence) >= Decimal(str(terms.confidence))
    return not sure or Decimal(attempt.max_defect_rate) > Decimal(str(terms.max_defect_rate))


def _said(attempts: Sequence[AttemptFacts], terms: Terms) -> str:
    last = attempts[-1]
    history = "; ".join(_figures(attempt) for attempt in attempts)
    if not last.outcome:
        return f"not accepted: acceptance {last.number} was begun and has not ended: accept it again ({history})"
    if not last.current:
        return (
            f"not accepted: studies of it moved, or came or went, since acceptance {last.number}: "
            f"accept it again ({history})"
        )
    if _weaker(last, terms):
        return (
            f"not accepted: program.toml asks for more than acceptance {last.number} shows: accept it again ({history})"
        )
    if last.outcome == "passed":
        return f"accepted: {history}"
    why = f": {'; '.join(last.reasons)}" if last.reasons else ""
    return f"not accepted: acceptance {last.number} of at most {terms.attempts} {last.outcome}{why} ({history})"


def _figures(attempt: AttemptFacts) -> str:
    outcome = attempt.outcome or "not ended"
    defective = f"{attempt.defective:,} defective" if attempt.defective else "none defective"
    sample = f"{attempt.sampled:,} of {counted(attempt.population, 'study')} sampled"
    return f"acceptance {attempt.number} {outcome}, {sample}, {defective}"


def _signed(wave: WaveFacts, terms: Terms) -> Iterator[Requirement]:
    latest = wave.attempts[-1].number if wave.attempts else 0
    for role in terms.sign_offs:
        theirs = [each for each in wave.sign_offs if each.role == role]
        holding = [each for each in theirs if not each.void and each.attempt == latest]
        if holding:
            names = ", ".join(sorted({each.by for each in holding}))
            yield Requirement(name="sign-off", standing=Standing.MET, detail=f"signed off by {names}, {role}")
        elif theirs:
            last = theirs[-1]
            why = last.void or f"it is of acceptance {last.attempt}, not of the latest"
            detail = f"the sign-off by {last.by}, {role}, does not count: {why}"
            yield Requirement(name="sign-off", standing=Standing.FAILED, detail=detail)
        else:
            detail = f"no {role} has signed off yet"
            yield Requirement(name="sign-off", standing=Standing.MISSING, detail=detail)


def against(requirements: Iterable[Requirement]) -> tuple[str, ...]:
    """The details of those that are reasons against."""
    return tuple(each.detail for each in requirements if not each.standing.allows)
