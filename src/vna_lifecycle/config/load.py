"""program.toml to a `Config`, every problem at once."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

import attrs
import cattrs

from vna_lifecycle.config.checks import acceptance_problems, exclusion_problems, execution_problems, wave_problems
from vna_lifecycle.config.scalars import Problem, Unusable, did_you_mean
from vna_lifecycle.config.structure import exact_converter, joined, structured
from vna_lifecycle.config.values import (
    AcceptanceConfig,
    ArchiveConfig,
    Config,
    ExecutionConfig,
    MigrationConfig,
    Person,
    SourceConfig,
)
from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.model.wave import Exclusion, WavePolicy
from vna_lifecycle.plugin import CheckPlugin, Registry, WaveCheckPlugin

_T = TypeVar("_T")

_SECTIONS: Final = (
    "program",
    "archives",
    "migration",
    "sources",
    "waves",
    "exclusions",
    "acceptance",
    "checks",
    "execution",
    "people",
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TOML_PLACE: Final = re.compile(
    r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)


def load_config(path: Path, registry: Registry) -> Config:
    """Read a program.toml.

    Args:
        path: The file. Relative paths in it are relative to its folder.
        registry: What plug-ins registered; it knows the settings of each kind of archive.

    Raises:
        ConfigurationError: the file cannot be used; ``problems`` has every reason, each with its path in the file.
    """
    problems: list[Problem] = []
    document = _document(path)
    reader = _Reader(exact_converter(path.absolute().parent), problems)

    problems += [
        (name, f"unknown section{did_you_mean(name, _SECTIONS)}") for name in document if name not in _SECTIONS
    ]
    program = reader.table(document, "program", required=True)
    name = program.pop("name", None)
    problems += [(joined("program", key), f"unknown key{did_you_mean(key, ('name',))}") for key in program]
    if "program" in document and not (isinstance(name, str) and name.strip()):
        problems.append(("program.name", "is missing" if name is None else "must be text, and not empty"))

    tables = reader.table(document, "archives", required=True)
    archives = tuple(
        archive for title, table in tables.items() if (archive := _archive(reader, registry, title, table)) is not None
    )
    if "archives" in document and not tables:
        problems.append(("archives", "name at least two archives, such as [archives.old] and [archives.new]"))

    migration = reader.read("migration", document.get("migration"), MigrationConfig, required=True)
    if migration is not None:
        problems += _migration_problems(migration, tables)
    waves = reader.many(document, "waves", WavePolicy)
    exclusions = reader.many(document, "exclusions", Exclusion)
    known = tuple(where for where, _ in problems)
    for where, what in wave_problems(waves, tables) + exclusion_problems(exclusions, tables):
        if not any(other.startswith(where) for other in known):  # it may come from what was left out as bad
            problems.append((where, what))
    execution = reader.read("execution", document.get("execution"), ExecutionConfig) or ExecutionConfig()
    problems += execution_problems(
        execution, archives, dask_installed=importlib.util.find_spec("distributed") is not None
    )
    people = tuple(_named(reader, reader.table(document, "people"), "people", Person))
    sources = tuple(_named(reader, reader.table(document, "sources"), "sources", SourceConfig))
    acceptance = reader.read("acceptance", document.get("acceptance"), AcceptanceConfig) or AcceptanceConfig()
    checks = _checks(reader, registry, reader.table(document, "checks"))
    problems += acceptance_problems(acceptance, checks, [person.role for person in people])
    if migration is not None:
        problems += [
            (
                joined("sources", source.name),
                f"is no source of this migration{did_you_mean(source.name, known_sources)}",
            )
            for known_sources in [migration.sources]
            for source in sources
            if source.name not in known_sources
        ]

    if problems or migration is None or not isinstance(name, str):
        raise _unusable(path, problems)
    policies = tuple(policy for _, policy in waves)
    return Config(
        name=name.strip(),
        archives=archives,
        migration=attrs.evolve(migration, readers=migration.readers or (migration.target,)),
        waves=policies or (WavePolicy(name="all"),),
        exclusions=tuple(exclusion for _, exclusion in exclusions),
        execution=execution,
        people=people,
        acceptance=acceptance,
        checks=checks,
        sources=sources,
    )


def _unusable(path: Path, problems: list[Problem]) -> ConfigurationError:
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{where}: {what}" for where, what in problems]
    return ConfigurationError(
        "\n  ".join([f"{path.name} cannot be used: {count}", *lines]),
        problems=tuple(problems),
        hint=f"edit {path}",
    )


def _document(path: Path) -> dict[str, object]:
    try:
        text = path.read_bytes().decode("utf-8-sig")  # Windows editors put a byte order mark
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no {path.name} in {path.parent}",
            problems=(("", "file not found"),),
            hint="`vna-lifecycle init` writes one; `--program DIR` names another folder",
        ) from None
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise _unusable(path, [(f"line {line}", f"byte {exc.start} is not UTF-8 text")]) from None
    except OSError as exc:
        raise _unusable(path, [("", f"cannot be read: {exc.strerror}")]) from exc
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        match = _TOML_PLACE.fullmatch(str(exc))
        lines = text.split("\n")
        line = int(match["line"]) if match and match["line"] else len(lines)
        column = int(match["column"]) if match and match["column"] else len(lines[-1]) + 1
        what = match["what"] if match else str(exc)
        raise _unusable(path, [(f"line {line}, column {column}", what)]) from None
    except RecursionError:
        raise _unusable(path, [("", "is nested too deeply")]) from None


class _Reader:
    """Structures tables and collects what is wrong with them."""

    def __init__(self, converter: cattrs.Converter, problems: list[Problem]) -> None:
        self.converter = converter
        self.problems = problems

    def read(self, where: str, value: object, cls: type[_T], *, required: bool = False) -> _T | None:
        """``value`` as a ``cls``, or None if it is absent or unusable.

        A value with problems in keys that it can do without is still read, without them, so that what lies in its other
        keys is checked too; the problems are told all the same.
        """
        if value is None:
            if required:
                self.problems.append((where, "this section is missing"))
            return None
        try:
            return structured(self.converter, value, cls)
        except Unusable as exc:
            self.problems += [(joined(where, path), message) for path, message in exc.problems]
            bad = {re.split(r"[.\[]", path, maxsplit=1)[0] for path, _ in exc.problems}
        if not isinstance(value, dict):
            return None
        try:
            return structured(self.converter, {key: item for key, item in value.items() if key not in bad}, cls)
        except Unusable:
            return None

    def table(self, document: Mapping[str, object], where: str, *, required: bool = False) -> dict[str, object]:
        """A copy of a table of the document; empty if it is absent or is none."""
        value = document.get(where)
        if value is None and required:
            self.problems.append((where, "this section is missing"))
        if value is not None and not isinstance(value, dict):
            self.problems.append((where, "must be a table"))
        return dict(value) if isinstance(value, dict) else {}

    def many(self, document: Mapping[str, object], where: str, cls: type[_T]) -> list[tuple[str, _T]]:
        """The usable ones of an array of tables, each with its path."""
        value = document.get(where, [])
        if not isinstance(value, list):
            self.problems.append((where, f"must be written as [[{where}]], once for each"))
            return []
        paths = [f"{where}[{index}]" for index in range(len(value))]
        read = ((path, self.read(path, item, cls)) for path, item in zip(paths, value, strict=True))
        return [(path, item) for path, item in read if item is not None]


def _archive(reader: _Reader, registry: Registry, name: str, value: object) -> ArchiveConfig | None:
    where = joined("archives", name)
    complain: Callable[[str, str], None] = lambda path, message: reader.problems.append((path, message))  # noqa: E731
    if not _NAME.fullmatch(name):
        complain(where, "an archive's name is up to 64 letters, digits, hyphens and underscores")
    if not isinstance(value, dict):
        complain(where, "must be a table")
        return None
    word = value.get("plugin")
    if not isinstance(word, str):
        complain(f"{where}.plugin", "is missing" if word is None else "must be text")
        return None
    if (plugin := registry.archives.get(word)) is None:
        complain(f"{where}.plugin", f"no plug-in {word!r} is installed{did_you_mean(word, registry.archives)}")
        return None
    settings = reader.read(where, {key: item for key, item in value.items() if key != "plugin"}, plugin.settings)
    return None if settings is None else ArchiveConfig(name=name, plugin=word, settings=settings)


def _named(reader: _Reader, table: Mapping[str, object], where: str, cls: type[_T]) -> Iterator[_T]:
    """Each table of a table, its own name being one of its keys."""
    for name, value in table.items():
        named = {**value, "name": name} if isinstance(value, dict) and "name" not in value else value
        if (found := reader.read(joined(where, name), named, cls)) is not None:
            yield found


def _checks(reader: _Reader, registry: Registry, table: Mapping[str, object]) -> dict[str, object]:
    """The settings of every registered check: those of the file, or none but defaults."""
    kinds: dict[str, CheckPlugin | WaveCheckPlugin] = {**registry.checks, **registry.wave_checks}
    for name in table:
        if name not in kinds:
            reader.problems.append((joined("checks", name), f"there is no such check{did_you_mean(name, kinds)}"))
    settings = {name: reader.read(joined("checks", name), table.get(name, {}), kinds[name].settings) for name in kinds}
    return {name: value for name, value in settings.items() if value is not None}


def _migration_problems(migration: MigrationConfig, archives: Mapping[str, object]) -> Iterator[Problem]:
    named = [(f"migration.sources[{index}]", name) for index, name in enumerate(migration.sources)]
    named.append(("migration.target", migration.target))
    named += [(f"migration.readers[{index}]", name) for index, name in enumerate(migration.readers)]
    for path, name in named:
        if name not in archives:
            yield path, f"there is no [archives.{name}]{did_you_mean(name, archives)}"
    if migration.target in migration.sources:
        yield "migration.target", "an archive cannot be both source and target"
    for path, names in (("migration.sources", migration.sources), ("migration.readers", migration.readers)):
        if len(set(names)) < len(names):
            yield path, "names an archive twice"
