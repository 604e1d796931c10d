"""How far the transfer of one wave is, counted as it goes, and told a few times a second."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from vna_lifecycle.catalog import WaveStatus
from vna_lifecycle.engine.progress import Progress, Tell

TOLD_EVERY_SECONDS = 0.2


@define
class Telling:
    """Counts of one run. ``begun`` is when it began, ``size`` the bytes moved, ``ended`` the studies at an end."""

    wave: str
    tell: Tell
    seconds: Callable[[], float]
    begun: float
    size: int = 0
    ended: int = field(default=0, init=False)
    _before: int = field(default=0, init=False)
    _total: int = field(default=0, init=False)
    _told_at: float = field(default=0.0, init=False)

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return self.seconds() - self.begun

    def begin(self, status: WaveStatus) -> None:
        """Count from where the wave stands."""
        self._total, self.ended, self._before = status.studies, status.imported, status.imported

    def say(self, note: str, *, busy: bool) -> None:
        """Tell, unless that was done just now and others will be told of soon."""
        now = self.seconds()
        if now - self._told_at < TOLD_EVERY_SECONDS and busy:
            return
        self._told_at = now
        self.tell(
            Progress(
                activity="transfer",
                subject=self.wave,
                done=min(self.ended, self._total),
                total=self._total,
                unit="studies",
                before=self._before,
                size=self.size,
                seconds=self.elapsed,
                note=note,
            )
        )
