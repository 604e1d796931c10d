"""What program.toml says, as frozen values."""

from __future__ import annotations

import enum
from zoneinfo import ZoneInfo

from attrs import field, frozen
from attrs.validators import ge, min_len, optional

from vna_lifecycle.execution.windows import Window
from vna_lifecycle.model.inventory import Rung
from vna_lifecycle.model.wave import Exclusion, WavePolicy
from vna_lifecycle.plugin import SecretReference


def _help(text: str) -> dict[str, str]:
    return {"help": text}


class Engine(enum.Enum):
    """What runs the tasks. DASK needs the extra of that name."""

    THREADS = "threads"
    PROCESSES = "processes"
    DASK = "dask"


@frozen(kw_only=True)
class ExecutionConfig:
    """How hard the program may work, and when. No ``windows`` means at any time."""

    engine: Engine = field(default=Engine.THREADS, metadata=_help("what runs the tasks"))
    workers: int = field(default=4, validator=ge(1), metadata=_help("studies in flight at once"))
    max_bytes_per_second: int | None = field(
        default=None, validator=optional(ge(1)), metadata=_help("bandwidth of all workers together; none: unlimited")
    )
    windows: tuple[Window, ...] = field(
        default=(), metadata=_help("when work is allowed, each as { days, from, to, share }; none: always")
    )
    time_zone: ZoneInfo | None = field(default=None, metadata=_help("the windows' time zone, such as 'Europe/Berlin'"))
    reserve_bytes: int = field(
        default=2**30, validator=ge(0), metadata=_help("disk space that the spool always leaves free")
    )
    attempts: int = field(
        default=3, validator=ge(1), metadata=_help("how often a study is tried before it becomes a finding")
    )


@frozen(kw_only=True)
class ArchiveConfig:
    """One archive of the program: its kind (``plugin``) and that plug-in's own settings, secrets unresolved."""

    name: str
    plugin: str
    settings: object


@frozen(kw_only=True)
class MigrationConfig:
    """From where to where. ``sources`` are in order of precedence; ``verify`` is the rung a transfer must reach."""

    sources: tuple[str, ...] = field(
        validator=min_len(1), metadata=_help("archives to read from, in order of precedence")
    )
    target: str = field(metadata=_help("archive to write to"))
    readers: tuple[str, ...] = field(default=(), metadata=_help("archives as users will see them; default: the target"))
    verify: Rung = field(default=Rung.HASHED, metadata=_help("how strongly the read-back must agree"))


@frozen(kw_only=True)
class Person:
    """Somebody who decides. ``key`` tells where the public key is that checks this person's signatures."""

    name: str
    role: str = field(metadata=_help("what this person is, such as 'records officer'"))
    key: SecretReference | None = field(default=None, metadata=_help("where the public key is"))


@frozen(kw_only=True)
class Config:
    """A program.toml that can be used."""

    name: str
    archives: tuple[ArchiveConfig, ...]
    migration: MigrationConfig
    waves: tuple[WavePolicy, ...] = (WavePolicy(name="all"),)
    exclusions: tuple[Exclusion, ...] = ()
    execution: ExecutionConfig = field(factory=ExecutionConfig)
    people: tuple[Person, ...] = ()

    def archive(self, name: str) -> ArchiveConfig:
        """The archive of that name.

        Raises:
            KeyError: there is none.
        """
        for archive in self.archives:
            if archive.name == name:
                return archive
        raise KeyError(name)
