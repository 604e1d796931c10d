"""An archive as a record of powers, and the site that a plug-in is given to work with."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Protocol

from attrs import frozen

from vna_lifecycle.ports.governing import Erases, Holds, Recalls, Tiers
from vna_lifecycle.ports.knowing import KnowsTruth, ProbesBehaviour
from vna_lifecycle.ports.reading import LetsGoOfArrivals, LooksAtFrames, SourceAdapter, TellsCosts
from vna_lifecycle.ports.remedying import AdmitsSetAside
from vna_lifecycle.ports.writing import (
    CommitsStorage,
    ImportsInBatches,
    LetsGoOfStaged,
    TargetStore,
    TellsOfJobs,
    Withdraws,
)


@frozen(kw_only=True)
class Archive:
    """What a plug-in's open function returns: the powers that this system has. None means that it lacks one."""

    reads: SourceAdapter
    stores: TargetStore | None = None
    imports: ImportsInBatches | None = None
    jobs: TellsOfJobs | None = None
    commits: CommitsStorage | None = None
    probes: ProbesBehaviour | None = None
    truth: KnowsTruth | None = None
    staged: LetsGoOfStaged | None = None
    arrivals: LetsGoOfArrivals | None = None
    frames: LooksAtFrames | None = None
    withdraws: Withdraws | None = None
    admits: AdmitsSetAside | None = None
    tiers: Tiers | None = None
    recalls: Recalls | None = None
    holds: Holds | None = None
    erases: Erases | None = None
    costs: TellsCosts | None = None


class Clock(Protocol):
    """The time, as an argument."""

    def __call__(self) -> dt.datetime:
        """Now, with a time zone."""
        ...


class Cancellation(Protocol):
    """Whether the work shall stop."""

    def is_set(self) -> bool:
        """True once the work shall stop: finish or abandon the current object, and return."""
        ...


class Secrets(Protocol):
    """Resolves secrets at the place where they are used."""

    def __call__(self, reference: str) -> str:
        """The secret behind ``env:NAME`` or ``file:PATH``.

        Raises:
            ConfigurationError: there is nothing behind the reference.
        """
        ...


@frozen(kw_only=True)
class Site:
    """What an archive is given to work with. ``workspace`` is a folder of its own that outlives the process."""

    name: str
    workspace: Path
    clock: Clock
    cancelled: Cancellation
    secret: Secrets
