"""How many studies are in flight at once, where program.toml does not say: what the archives were seen to bear."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from attrs import frozen

from vna_lifecycle.config import Config, Engine
from vna_lifecycle.model.counting import counted

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program

USUAL_WORKERS: Final = 4
_BORNE: Final = "side-by-side"
_CAP: Final = "answer-cap"


@frozen(kw_only=True)
class Pace:
    """How many studies are in flight at once (``workers``), and ``why``, as one sentence's end.

    ``measured``: a behaviour profile had a say. ``remarks`` are what else profiles tell of how the sources are asked.
    """

    workers: int
    why: str
    measured: bool = False
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"up to {counted(self.workers, 'study')} in flight at once: {self.why}"


def pace_of(program: Program) -> Pace:
    """The pace of a program, by its settings and the profiles on record."""
    config = program.config
    names = dict.fromkeys((*config.migration.sources, config.migration.target))
    profiles = {name: profile for name in names if (profile := program.profile(name)) is not None}
    figures = {name: profile.number(_BORNE) for name, profile in profiles.items()}
    caps = {name: profile.number(_CAP) for name, profile in profiles.items() if name in config.migration.sources}
    return decide_pace(
        config,
        {name: figure for name, figure in figures.items() if figure},
        {name: cap for name, cap in caps.items() if cap},
    )


def decide_pace(config: Config, borne: Mapping[str, int], caps: Mapping[str, int]) -> Pace:
    """The pace by the settings, by how many associations archives were seen to bear, and by their answers' caps.

    An archive that answers keeps workers waiting, and so more of them are busy than there are processors. It keeps
    itself to what it bears, within one process; a worker process asks by itself, so that there may be no more of them
    than every archive bears. Where each archive is read and written in place (its settings say so: see
    `ArchivePlugin`), more workers than processors only stand in each other's way.
    """
    remarks = tuple(f"{name} shows no more than {counted(cap, 'study')} in one answer" for name, cap in caps.items())
    execution, migration = config.execution, config.migration
    if execution.workers is not None:
        return Pace(workers=execution.workers, why="workers is set", remarks=remarks)
    settings = {name: config.archive(name).settings for name in dict.fromkeys((*migration.sources, migration.target))}
    answering = [name for name, item in settings.items() if not getattr(item, "in_place", False)]
    if not answering:
        workers = min(USUAL_WORKERS, _processors())
        return Pace(workers=workers, why="every archive is read and written in place", remarks=remarks)
    allowed = {name: getattr(settings[name], "at_once", None) for name in answering}
    figures = {name: allowed[name] or borne.get(name, USUAL_WORKERS) for name in answering}
    workers = max(USUAL_WORKERS, *figures.values())
    if execution.engine is not Engine.THREADS:
        workers = min(figures.values())
    said = []
    for name in answering:
        if allowed[name]:
            said.append(f"{name} may be asked {figures[name]} at once by its settings")
        elif name in borne:
            said.append(f"{name} was seen to bear {counted(borne[name], 'association')} side by side")
        else:
            said.append(f"nobody measured how many {name} bears")
    measured = any(not allowed[name] and name in borne for name in answering)
    return Pace(workers=workers, why=", and ".join(said), measured=measured, remarks=remarks)


def _processors() -> int:
    """Those that this process may use, which is not all of them in a container."""
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(usable(0)) if usable else os.cpu_count() or 1
