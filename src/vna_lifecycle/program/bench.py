"""What a task works with: in this process, or in one of its own that opens everything anew."""

from __future__ import annotations

import datetime as dt
import functools
import threading
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from vna_lifecycle.config import ArchiveConfig, resolve_secret
from vna_lifecycle.execution.spool import SpoolFolder
from vna_lifecycle.execution.throttle import Rate, Throttle
from vna_lifecycle.plugin import load_plugins
from vna_lifecycle.ports import Archive, Cancellation, Clock, Site, Spool

PURPOSES = ("fetch", "read-back")


def utc_now() -> dt.datetime:
    """The machine's clock, in UTC."""
    return dt.datetime.now(dt.UTC)


def site(folder: Path, name: str, clock: Clock, cancelled: Cancellation) -> Site:
    """What an archive of the program in ``folder`` is given to work with."""
    workspace = folder / "archives" / name
    workspace.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Site(
        name=name,
        workspace=workspace,
        clock=clock,
        cancelled=cancelled,
        secret=functools.partial(_secret, base=folder),
    )


def _secret(reference: str, base: Path) -> str:
    return resolve_secret(reference, base)


class LocalBench:
    """For tasks in threads: the program's own archives, spool and throttle."""

    def __init__(
        self, archive: Callable[[str], Archive], spool: SpoolFolder, pace: Throttle, cancelled: threading.Event
    ) -> None:
        self.archive = archive
        self.pace = pace
        self.cancelled = cancelled
        self._spool = spool

    def spool(self, label: str, purpose: str) -> Spool:
        """An empty folder of its own for one task."""
        return self._spool.task(f"{label}/{purpose}")

    def clear(self, label: str) -> None:
        """Remove what a study's tasks left in the spool."""
        _clear(self._spool, label)


class _Never:
    """Other processes are not cancelled in the middle of an object; they finish the task at hand."""

    def is_set(self) -> bool:
        return False


@frozen(kw_only=True)
class RemoteBench:
    """For tasks in other processes: a value, from which each process makes its own archives, spool and throttle.

    Secrets are resolved there, from references.
    """

    folder: Path
    archives: tuple[ArchiveConfig, ...]
    reserve_bytes: int
    rate: Rate

    @property
    def cancelled(self) -> Cancellation:
        """Never: see `_Never`."""
        return _Never()

    @property
    def pace(self) -> Throttle:
        """This process's share of the byte rate."""
        return _throttle(self.rate)

    def archive(self, name: str) -> Archive:
        """The archive of that name, opened once in each process."""
        config = next(archive for archive in self.archives if archive.name == name)
        return _archive(self.folder, config)

    def spool(self, label: str, purpose: str) -> Spool:
        """An empty folder of its own for one task."""
        return _spool(self.folder, self.reserve_bytes).task(f"{label}/{purpose}")

    def clear(self, label: str) -> None:
        """Remove what a study's tasks left in the spool."""
        _clear(_spool(self.folder, self.reserve_bytes), label)


def _clear(spool: SpoolFolder, label: str) -> None:
    for purpose in PURPOSES:
        spool.discard(f"{label}/{purpose}")


@functools.cache
def _throttle(rate: Rate) -> Throttle:
    return rate.throttle()


@functools.cache
def _spool(folder: Path, reserve_bytes: int) -> SpoolFolder:
    return SpoolFolder(folder / "spool", reserve_bytes=reserve_bytes)


@functools.cache
def _archive(folder: Path, config: ArchiveConfig) -> Archive:
    plugin = load_plugins().registry.archives[config.plugin]
    return plugin.open(config.settings, site(folder, config.name, utc_now, _Never()))
