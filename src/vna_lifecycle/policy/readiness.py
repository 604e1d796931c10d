"""May this be used for care? Pure decisions, each with all of its reasons."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen


@frozen(kw_only=True)
class WaveFacts:
    """What readiness is decided from. Counts are studies.

    ``accepted`` is True once acceptance found the wave usable, False once it found it not, and None before it was
    examined.
    """

    name: str
    studies: int
    imported: int
    incomplete: int = 0
    failed: int = 0
    withdrawn: int = 0
    paused: bool = False
    accepted: bool | None = None

    @property
    def remaining(self) -> int:
        """Studies that have not come to any end."""
        return self.studies - self.imported - self.incomplete - self.failed - self.withdrawn


@frozen(kw_only=True)
class Readiness:
    """Whether a wave may be used for care, and every reason why not."""

    ready: bool
    blockers: tuple[str, ...]


@frozen(kw_only=True)
class CutoverDecision:
    """Whether reading may be switched to the target, and every reason why not."""

    allowed: bool
    reasons: tuple[str, ...]


def wave_readiness(wave: WaveFacts) -> Readiness:
    """A wave is ready when every study is transferred and acceptance says so. Completion alone never makes it ready."""
    counted = (
        (wave.incomplete, "incomplete at the target"),
        (wave.failed, "failed"),
        (wave.withdrawn, "withdrawn"),
        (wave.remaining, "not transferred yet"),
    )
    blockers = [f"{_studies(count)} {what}" for count, what in counted if count]
    if wave.studies == 0:
        blockers.append("the wave is empty")
    if wave.paused:
        blockers.append("the wave is paused")
    if wave.accepted is None:
        blockers.append("not accepted: acceptance has not examined it")
    elif not wave.accepted:
        blockers.append("not accepted: acceptance found it unfit")
    return Readiness(ready=not blockers, blockers=tuple(blockers))


def cutover_decision(
    waves: Sequence[tuple[WaveFacts, Readiness]], *, unseen: Sequence[str], unplanned: int, refused: int
) -> CutoverDecision:
    """Reading may be switched when every wave is ready and nothing of the sources is left without a place.

    ``unseen`` names the sources without a complete inventory: nobody knows what they hold.
    """
    reasons = [f"wave {facts.name}: {'; '.join(state.blockers)}" for facts, state in waves if not state.ready]
    reasons += [f"no complete inventory of {source}" for source in unseen]
    if not waves:
        reasons.append("nothing is planned")
    if unplanned:
        reasons.append(f"{_studies(unplanned)} in no wave and not excluded")
    if refused:
        reasons.append(f"{refused} objects at the sources are no DICOM objects that can be trusted")
    return CutoverDecision(allowed=not reasons, reasons=tuple(reasons))


def _studies(count: int) -> str:
    return "1 study" if count == 1 else f"{count} studies"
