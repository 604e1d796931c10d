"""What an acceptance came to, with every figure, as it lies in the vault and as people see it."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from attrs import asdict, frozen
from cattrs import Converter

from vna_lifecycle.engine.accept_findings import FoundKind
from vna_lifecycle.policy.acceptance import Outcome, WaveVerdict


@frozen(kw_only=True)
class CheckLine:
    """One check: what it looked at (``studies`` counts them; ``scope`` is study, sample or wave) and what it found.

    Counts are findings by severity, ``seconds`` its own time. ``not_assessed`` says why it gave no result for all of
    it, or ``""``. ``provider`` is the distribution that brought it.
    """

    name: str
    provider: str
    scope: str
    required: bool
    studies: int
    blockers: int
    warnings: int
    notes: int
    seconds: float
    not_assessed: str


@frozen(kw_only=True)
class Acceptance:
    """How an acceptance of a wave ended. ``outcome``: passed, failed, unfinished; or cancelled, to be taken up again.

    ``seed`` drew the sample. ``verdict`` has the reasons and the figures of the sample, and is None if cancelled.
    """

    wave: str
    attempt: int
    outcome: str
    seed: str
    seconds: float
    verdict: WaveVerdict | None
    checks: tuple[CheckLine, ...]
    findings: tuple[FoundKind, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the wave."""
        return self.outcome == Outcome.PASSED.value

    def __str__(self) -> str:
        said = f"{self.wave}: acceptance {self.attempt} {self.outcome}"
        if self.verdict is None:
            return said
        reasons = f" ({'; '.join(self.verdict.reasons)})" if self.verdict.reasons else ""
        return f"{said}{reasons}. {self.verdict.statement}"

    def _repr_html_(self) -> str:
        """For notebooks."""
        heads = ("check", "looked at", "blockers", "warnings", "no result")
        rows = [heads, *((c.name, c.studies, c.blockers, c.warnings, c.not_assessed) for c in self.checks)]
        cells = ("".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows)
        return f"<p>{escape(str(self))}</p><table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON has them."""
        return asdict(self, value_serializer=lambda _, __, value: value.value if isinstance(value, Outcome) else value)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One row for each check, for a data frame."""
        return [asdict(line) for line in self.checks]


_CONVERTER: Final = Converter()


def acceptance_from(facts: Any) -> Acceptance | None:
    """The result that was kept as these facts; None for an attempt that was given up before it ended."""
    return None if "abandoned" in facts else _CONVERTER.structure(facts, Acceptance)
