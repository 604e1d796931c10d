"""What program.toml says, as frozen values."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

from attrs import field, frozen
from attrs.validators import ge, gt, lt, min_len, optional

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
    workers: int | None = field(
        default=None,
        validator=optional(ge(1)),
        metadata=_help(
            "studies in flight at once; none: 4, or more where an archive was seen to bear more; as many as "
            "processors, at most 4, where all archives are in place"
        ),
    )
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


class Stratum(enum.Enum):
    """What a sample is drawn from in shares of its own, so that a rare kind of study is not left to chance."""

    NONE = "none"
    MODALITY = "modality"
    YEAR = "year"


@frozen(kw_only=True)
class AcceptanceConfig:
    """What makes a wave ready. Without ``required`` every registered check is."""

    confidence: float = field(
        default=0.95,
        validator=[gt(0.0), lt(1.0)],
        metadata=_help("how sure a pass must be that no more than max_defect_rate of the studies are defective"),
    )
    max_defect_rate: float = field(
        default=0.005, validator=[gt(0.0), lt(1.0)], metadata=_help("share of defective studies that may stay unseen")
    )
    attempts: int = field(
        default=3, validator=ge(1), metadata=_help("samples that may be drawn of a wave; they share the allowed error")
    )
    strata: Stratum = field(default=Stratum.MODALITY, metadata=_help("kinds of study that each give a share"))
    required: tuple[str, ...] = field(
        default=(), metadata=_help("checks that must give a result; default: every registered check")
    )
    sign_offs: tuple[str, ...] = field(default=(), metadata=_help("roles that must sign a wave before it is ready"))
    equal_passes: int = field(
        default=2, validator=ge(0), metadata=_help("passes over each source that must find nothing new before cutover")
    )
    check_seconds: float = field(
        default=60.0,
        validator=gt(0.0),
        metadata=_help("time for a check to examine one study, or to go on with a wave"),
    )


@frozen(kw_only=True)
class BeyondDicom:
    """Something that a source holds and DICOM cannot return, and what becomes of it (``""``: not decided yet)."""

    what: str = field(validator=min_len(1), metadata=_help("such as 'annotations in the database'"))
    disposition: str = field(default="", metadata=_help("what becomes of it; empty: to be decided before cutover"))


@frozen(kw_only=True)
class SourceConfig:
    """What is known of a source beyond its objects. ``name`` is the archive's."""

    name: str
    truth: Path | None = field(
        default=None, metadata=_help("CSV extract of the source's own database; none: headers only")
    )
    include_deleted: bool = field(
        default=False, metadata=_help("whether studies that its database calls deleted are planned all the same")
    )
    include_hidden: bool = field(
        default=False, metadata=_help("whether studies that its database hides are planned all the same")
    )
    beyond_dicom: tuple[BeyondDicom, ...] = field(
        default=(), metadata=_help("what DICOM cannot return, each as { what, disposition }")
    )


@frozen(kw_only=True)
class Person:
    """Somebody who decides. ``key`` tells where the public key is that checks this person's signatures.

    From the day ``revoked`` on, nothing that was signed with the key counts.
    """

    name: str
    role: str = field(metadata=_help("what this person is, such as 'records officer'"))
    key: SecretReference | None = field(default=None, metadata=_help("where the public key is"))
    revoked: dt.date | None = field(default=None, metadata=_help("day from which nothing signed with the key counts"))


@frozen(kw_only=True)
class Config:
    """A program.toml that can be used. ``checks`` holds the settings of every registered check, by its name."""

    name: str
    archives: tuple[ArchiveConfig, ...]
    migration: MigrationConfig
    waves: tuple[WavePolicy, ...] = (WavePolicy(name="all"),)
    exclusions: tuple[Exclusion, ...] = ()
    execution: ExecutionConfig = field(factory=ExecutionConfig)
    people: tuple[Person, ...] = ()
    acceptance: AcceptanceConfig = field(factory=AcceptanceConfig)
    checks: Mapping[str, object] = MappingProxyType({})
    sources: tuple[SourceConfig, ...] = ()

    def source(self, name: str) -> SourceConfig:
        """What is known of a source of that name; nothing where the file does not say."""
        return next((source for source in self.sources if source.name == name), SourceConfig(name=name))

    def archive(self, name: str) -> ArchiveConfig:
        """The archive of that name.

        Raises:
            KeyError: there is none.
        """
        for archive in self.archives:
            if archive.name == name:
                return archive
        raise KeyError(name)
