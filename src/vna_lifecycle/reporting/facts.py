"""Everything that the report shows, as frozen values.

Times are UTC in ISO 8601, days ``YYYY-MM-DD``, sizes bytes. What the program does not know is empty, and the page
leaves it out. Long lists are cut here, never silently: the true number stands beside them, and the CSV tables are
complete.
"""

from __future__ import annotations

from typing import Any

from attrs import asdict, field, frozen

from vna_lifecycle.policy.readiness import Standing


@frozen(kw_only=True)
class Obstacle:
    """One thing that blocks cutover: a sentence, what to do, and who can. No ``waves`` where it is about all.

    ``kind`` is the kind of finding that it is about, ``""`` if it is about none.
    """

    sentence: str
    waves: tuple[str, ...] = ()
    remedy: str = ""
    who: str = ""
    kind: str = ""


@frozen(kw_only=True)
class GateDecision:
    """Somebody asked to switch reading, and the gate ``allowed`` it or not; ``reason`` is theirs."""

    time: str
    allowed: bool
    by: str
    reason: str
    reasons: int = 0


@frozen(kw_only=True)
class Gate:
    """May reading be switched to the target? ``decisions`` are those on record, oldest first."""

    allowed: bool
    obstacles: tuple[Obstacle, ...] = ()
    decisions: tuple[GateDecision, ...] = ()

    def first(self, most: int) -> tuple[tuple[tuple[str, ...], tuple[Obstacle, ...]], ...]:
        """The first obstacles, those together that block the same waves, in the order in which they came."""
        found: dict[tuple[str, ...], list[Obstacle]] = {}
        for obstacle in self.obstacles[:most]:
            found.setdefault(obstacle.waves, []).append(obstacle)
        return tuple((waves, tuple(blocking)) for waves, blocking in found.items())


@frozen(kw_only=True)
class Requirement:
    """One thing that a wave needs to be ready. ``note`` says by whom and until when, where somebody waived it."""

    name: str
    standing: Standing
    sentence: str
    note: str = ""
    remedy: str = ""

    @property
    def fulfilled(self) -> bool:
        """Whether it stands in nobody's way."""
        return self.standing.allows


@frozen(kw_only=True)
class Attempt:
    """One acceptance of a wave. ``outcome``: passed, failed, unfinished, or ``""`` while it is going on.

    Counts are studies; ``confidence`` and ``max_defect_rate`` are shares of 1; ``upper_bound``, as text of a share, is
    what the sample shows with that confidence, ``""`` where it was not worked out.
    """

    number: int
    time: str
    outcome: str
    population: int
    sampled: int
    defective: int
    confidence: float
    max_defect_rate: float
    blockers: int = 0
    warnings: int = 0
    upper_bound: str = ""
    checks: tuple[tuple[str, str], ...] = ()
    not_assessed: tuple[str, ...] = ()
    sentence: str = ""


@frozen(kw_only=True)
class WaveReport:
    """A wave on the board. ``imported`` and ``usable`` count studies: copied and proved, and usable for care.

    ``states`` counts studies by migration state; ``reasons`` say why the wave is not ready.
    """

    name: str
    studies: int
    instances: int
    size: int
    imported: int
    ready: bool
    reasons: tuple[str, ...] = ()
    states: tuple[tuple[str, int], ...] = ()
    requirements: tuple[Requirement, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def told(self) -> bool:
        """Whether there is more to tell than the board does."""
        return bool(self.requirements or self.attempts)

    @property
    def usable(self) -> int:
        """Studies of it that may be used for care: all or none."""
        return self.studies if self.ready else 0


@frozen(kw_only=True)
class Amount:
    """Studies of one year, one modality or one range of sizes, with their instances and bytes."""

    label: str
    studies: int
    instances: int = 0
    size: int = 0


@frozen(kw_only=True)
class Pictures:
    """What the sources hold, over their latest inventories; a study of two modalities counts under both.

    ``undated`` studies are of no year.
    """

    years: tuple[Amount, ...] = ()
    modalities: tuple[Amount, ...] = ()
    sizes: tuple[Amount, ...] = ()
    undated: int = 0


@frozen(kw_only=True)
class Moment:
    """How many studies were imported at a time, and how many were in waves that are ready today."""

    time: str
    imported: int
    ready: int


@frozen(kw_only=True)
class Found:
    """One finding: the study, and a few of its ``objects_total`` objects: UIDs only, never a patient's ID or a path."""

    study_uid: str
    study: str
    wave: str
    message: str = ""
    objects: tuple[str, ...] = ()
    objects_total: int = 0
    waived: bool = False


@frozen(kw_only=True)
class FindingRow:
    """One finding in full, for the table. ``standing``: open, waived or settled."""

    number: int
    severity: str
    kind: str
    check: str
    wave: str
    study_uid: str
    study: str
    standing: str
    message: str
    remedy: str
    objects: tuple[str, ...] = ()


@frozen(kw_only=True)
class FindingKind:
    """All open findings of a kind: how many, how many of them are waived, what to do, and the first few.

    ``message`` is ``""`` where they say different things.
    """

    kind: str
    severity: str
    check: str
    findings: int
    waived: int
    message: str
    remedy: str
    waves: tuple[str, ...] = ()
    examples: tuple[Found, ...] = ()


@frozen(kw_only=True)
class Step:
    """A state that a study reached, and when."""

    state: str
    time: str


@frozen(kw_only=True)
class StudyPath:
    """A study's way: where it stands, why it stands there if it is no good place, and every step so far."""

    study_uid: str
    study: str
    wave: str
    state: str
    why: str = ""
    steps: tuple[Step, ...] = ()


@frozen(kw_only=True)
class Excluded:
    """Studies that shall not move, and why."""

    reason: str
    studies: int


@frozen(kw_only=True)
class WaiverOnRecord:
    """A person accepts findings of a kind. ``standing``: in force, expired or withdrawn. ``signed`` with a key."""

    wave: str
    finding: str
    findings: int
    by: str
    role: str
    reason: str
    given: str
    expires: str
    standing: str
    signed: bool


@frozen(kw_only=True)
class SignOffOnRecord:
    """A person stands for a wave. ``standing``: in force, expired, or outdated by a later acceptance."""

    wave: str
    attempt: int
    by: str
    role: str
    meaning: str
    given: str
    expires: str
    standing: str
    signed: bool


@frozen(kw_only=True)
class Observed:
    """Something that an archive was seen to do."""

    name: str
    value: str
    unit: str = ""


@frozen(kw_only=True)
class SourceReport:
    """A source: its latest inventory, what its own database says, how it behaves, what DICOM cannot return of it.

    ``beyond_dicom`` pairs each such thing with what becomes of it (``""``: not decided yet).
    """

    archive: str
    inventory: int
    studies: int
    instances: int
    size: int
    refused: int
    truth: str = ""
    observed: tuple[Observed, ...] = ()
    beyond_dicom: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class LedgerHead:
    """The record that all of this follows from. ``checkpoint`` is the signed note, ``public_key`` its signer's."""

    size: int
    root: str
    origin: str = ""
    checkpoint: str = ""
    public_key: str = ""


@frozen(kw_only=True)
class Facts:
    """The report. ``time`` is when it was made; ``studies_total`` counts those with a path, shown or not."""

    program: str
    time: str
    software: str
    gate: Gate
    ledger: LedgerHead
    waves: tuple[WaveReport, ...] = ()
    sources: tuple[SourceReport, ...] = ()
    target: str = ""
    unplanned: int = 0
    pictures: Pictures = field(factory=Pictures)
    burn_up: tuple[Moment, ...] = ()
    findings: tuple[FindingKind, ...] = ()
    studies: tuple[StudyPath, ...] = ()
    studies_total: int = 0
    excluded: tuple[Excluded, ...] = ()
    waivers: tuple[WaiverOnRecord, ...] = ()
    sign_offs: tuple[SignOffOnRecord, ...] = ()

    @property
    def planned(self) -> int:
        """Studies in waves."""
        return sum(wave.studies for wave in self.waves)

    @property
    def imported(self) -> int:
        """Studies copied, read back and found equal."""
        return sum(wave.imported for wave in self.waves)

    @property
    def usable(self) -> int:
        """Studies that may be used for care."""
        return sum(wave.usable for wave in self.waves)

    @property
    def open_blockers(self) -> int:
        """Findings that prevent readiness and that nobody waived."""
        return sum(kind.findings - kind.waived for kind in self.findings if kind.severity == "blocker")

    def to_dict(self) -> dict[str, Any]:
        """The facts as ``report.json`` holds them."""
        raw = asdict(self, value_serializer=lambda _, __, value: value.value if isinstance(value, Standing) else value)
        return {**raw, "planned": self.planned, "imported": self.imported, "usable": self.usable}
