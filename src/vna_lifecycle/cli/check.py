"""Looking before anything moves: the configuration, the archives, the plug-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import frozen

from vna_lifecycle.cli.options import HERE, PLAIN, ProgramFolder, Show
from vna_lifecycle.cli.output import print_json, safe, say
from vna_lifecycle.cli.profiling import heading, spoken
from vna_lifecycle.cli.session import opened
from vna_lifecycle.cli.trouble import error_dict, error_lines
from vna_lifecycle.errors import ConfigurationError, VnaLifecycleError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vna_lifecycle.config import Setting
    from vna_lifecycle.plugin import Registry
    from vna_lifecycle.ports import Archive, Observation
    from vna_lifecycle.program import Program

POWERS: Final = {
    "reads": "can be read",
    "stores": "can be written",
    "imports": "imports in batches",
    "jobs": "tells of its import jobs",
    "commits": "is asked for storage commitment",
    "withdraws": "lets go of copies",
    "admits": "corrects what it set aside",
    "staged": "lets go of staged copies",
    "arrivals": "lets go of what it sent",
    "frames": "serves single frames",
    "probes": "can be probed",
    "truth": "brings its own database",
    "tiers": "moves objects between tiers",
    "recalls": "recalls objects from slow tiers",
    "holds": "keeps objects under hold",
    "erases": "erases objects for good",
    "costs": "tells what reading costs",
}

_LEARNED: Final = frozenset({"largest-object"})
"""What no look shows, but an inventory or a transfer does."""

_CANNOT_STORE: Final = "cannot-store"


@frozen(kw_only=True)
class ArchiveCheck:
    """What was seen of one archive. ``roles`` are what program.toml makes of it."""

    name: str
    plugin: str
    roles: tuple[str, ...]
    powers: tuple[str, ...] = ()
    observations: tuple[Observation, ...] = ()
    error: VnaLifecycleError | None = None

    def to_dict(self) -> dict[str, Any]:
        """As ``check --json`` prints it."""
        return {
            "name": self.name,
            "plugin": self.plugin,
            "roles": list(self.roles),
            "reachable": bool(self.powers),
            "powers": list(self.powers),
            "observations": [attrs.asdict(observation) for observation in self.observations],
            "error": error_dict(self.error) if self.error else None,
        }

    def lines(self) -> list[str]:
        """For people."""
        roles = f", {' and '.join(self.roles)}" if self.roles else ", not used"
        lines = [f"  {self.name} ({self.plugin}{roles})"]
        if self.powers:
            lines.append(f"    answers; {', '.join(POWERS[power] for power in self.powers)}")
        shown = (each for each in self.observations if each.name != _CANNOT_STORE)  # of a target, that is its error
        seen = ((each.name, f"{each.value} {each.unit}".rstrip()) for each in shown)
        lines += [f"    {heading(name)}: {spoken(value)}" for name, value in seen]
        if self.error:
            lines += [f"    {line}" for line in error_lines(self.error)]
        return lines


def check(*, program: ProgramFolder = HERE, show: Show = PLAIN) -> int:
    """Check program.toml and every archive in it: what is wrong, who answers, who can do what.

    Exit code 2 if program.toml cannot be used, or gives an archive a part that it cannot play; 3 if an archive does not
    answer.
    """
    from vna_lifecycle.program.pace import pace_of

    with opened(program) as opening:
        checks = [look(opening, config.name) for config in opening.config.archives]
        name, folder, pace = opening.name, opening.folder, pace_of(opening)
    code = min((item.error.exit_code for item in checks if item.error), default=0)
    if show.json:
        print_json(
            {
                "program": name,
                "folder": folder,
                "ok": not code,
                "studies_at_once": pace.workers,
                "archives": [item.to_dict() for item in checks],
            }
        )
    else:
        say(f"{safe(name)}: program.toml can be used")
        for item in checks:
            say("\n".join(item.lines()))
        say(f"  {safe(str(pace))}")
    return code


def look(program: Program, name: str) -> ArchiveCheck:
    """Open an archive, ask it for something small, and see what it can do."""
    migration = program.config.migration
    roles = tuple(
        role
        for role, names in (
            ("source", migration.sources),
            ("target", (migration.target,)),
            ("reader", migration.readers),
        )
        if name in names
    )
    seen = ArchiveCheck(name=name, plugin=program.config.archive(name).plugin, roles=roles)
    try:
        archive = program.archive(name)
        # Opening may not talk to the archive at all; the first part of its inventory does.
        next(iter(archive.reads.parts()), None)
        observations = tuple(archive.probes.probe()) if archive.probes is not None else ()
    except VnaLifecycleError as exc:
        return attrs.evolve(seen, error=exc)
    known = program.profile(name)
    told = {observation.name for observation in observations}
    learned = () if known is None else tuple(one for one in known.observations if one.name in _LEARNED - told)
    return attrs.evolve(
        seen,
        powers=powers_of(archive),
        observations=observations + learned,
        error=_misfit(archive, roles, observations),
    )


def powers_of(archive: Archive) -> tuple[str, ...]:
    """The powers that this archive has, as the fields of `Archive` name them."""
    return tuple(power.name for power in attrs.fields(type(archive)) if getattr(archive, power.name) is not None)


def _misfit(archive: Archive, roles: Iterable[str], seen: Iterable[Observation]) -> ConfigurationError | None:
    if "target" not in roles:
        return None
    why = [observation.value for observation in seen if observation.name == _CANNOT_STORE]
    if archive.stores is None and archive.imports is None:
        why = ["this kind of archive cannot be written, so it cannot be the target"]
    problems = tuple(("migration.target", what) for what in why)
    return ConfigurationError("an archive cannot play its part", problems=problems) if why else None


def plugins(*, show: Show = PLAIN) -> int:
    """The kinds of archive and the checks that are installed, with their settings."""
    from vna_lifecycle.plugin import load_plugins

    loaded = load_plugins()
    if show.json:
        print_json(_plugins_dict(loaded.registry, loaded.versions))
        return 0
    from vna_lifecycle.config import describe

    for plugin in loaded.registry.archives.values():
        schemes = f"; as a URL: {', '.join(f'{scheme}:' for scheme in plugin.schemes)}" if plugin.schemes else ""
        say(f'plugin = "{plugin.name}"  (archive, by {plugin.provider}{schemes})')
        _tell_settings(describe(plugin.settings))
    for check_plugin in loaded.registry.checks.values():
        say(f'use = "{check_plugin.name}"  (check, by {check_plugin.provider})')
        _tell_settings(describe(check_plugin.settings))
    say("installed: " + ", ".join(f"{name} {version}".rstrip() for name, version in loaded.versions))
    return 0


def _tell_settings(settings: Iterable[Setting]) -> None:
    for setting in settings:
        needed = "required" if setting.required else f"default: {setting.default or 'none'}"
        say(f"    {setting.key}: {setting.type} ({needed})")
        if setting.help:
            say(f"        {setting.help}")


def _plugins_dict(registry: Registry, versions: Iterable[tuple[str, str]]) -> dict[str, Any]:
    from vna_lifecycle.config import describe

    def settings(cls: type[object]) -> list[dict[str, Any]]:
        return [attrs.asdict(setting) for setting in describe(cls)]

    return {
        "archives": [
            {
                "name": plugin.name,
                "provider": attrs.asdict(plugin.provider),
                "schemes": list(plugin.schemes),
                "settings": settings(plugin.settings),
            }
            for plugin in registry.archives.values()
        ],
        "checks": [
            {"name": plugin.name, "provider": attrs.asdict(plugin.provider), "settings": settings(plugin.settings)}
            for plugin in registry.checks.values()
        ],
        "distributions": [{"name": name, "version": version} for name, version in versions],
    }
