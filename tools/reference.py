"""Write the generated parts of docs/reference from the code: ``python tools/reference.py``.

A page's generated part lies between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``; the rest is written by
people. ``tests/docs/test_reference.py`` fails when a page and the code disagree.
"""

from __future__ import annotations

import ast
import enum
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Final

import attrs

import vna_lifecycle
from vna_lifecycle import authoring, errors, ports, results
from vna_lifecycle.config import AcceptanceConfig, ExecutionConfig, MigrationConfig, Person, SourceConfig, describe
from vna_lifecycle.model.event import EVENTS
from vna_lifecycle.model.lifecycle import TRANSITIONS, MigrationState
from vna_lifecycle.model.wave import DateRange, Exclusion, WavePolicy
from vna_lifecycle.plugin import hooks, load_plugins, registry

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the table of planted defects is the tests' own
from planted.defects import DEFECTS, Plot
from planted.described import abouts

PAGES: Final = Path(__file__).parents[1] / "docs" / "reference"
_SECTION: Final = re.compile(r"(Args|Raises|Returns|Yields):")


# ------------------------------------------------------------------------------------------------ words


def prose(documented: object) -> str:
    """A docstring as Markdown: sections of the google style become lists."""
    lines: list[str] = []
    listing = False
    for line in (inspect.getdoc(documented) or "").replace("``", "`").splitlines():
        if match := _SECTION.fullmatch(line):
            listing = True
            lines.append(f"*{match[1]}:*\n")
        elif listing and line.startswith("        "):
            lines[-1] += f" {line.strip()}"
        elif listing and line.startswith("    "):
            lines.append(f"- {line.strip()}")
        else:
            listing = listing and not line
            lines.append(line)
    return "\n".join(lines).strip()


def cell(text: str) -> str:
    """Text within a table."""
    return " ".join(text.split()).replace("|", "\\|")


def shown(value: object) -> str:
    """A default as it would be written."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    factory: object = getattr(value, "factory", None)
    called = value if inspect.isroutine(value) else factory
    name = str(getattr(called, "__name__", ""))
    return f"{name}()" if called is factory and name else name or repr(value)


def annotation(value: object) -> str:
    """An annotation as the source has it."""
    return value if isinstance(value, str) else inspect.formatannotation(value)


def signature(name: str, function: Callable[..., object]) -> str:
    """A function's signature, one parameter on a line when it is long."""
    found = inspect.signature(function)
    words: list[str] = []
    starred = False
    for parameter in found.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            starred = True
            words.append("*")
        told = parameter.annotation is not parameter.empty
        word = f"{parameter.name}: {annotation(parameter.annotation)}" if told else parameter.name
        words.append(word if parameter.default is parameter.empty else f"{word} = {shown(parameter.default)}")
    returned = "" if found.return_annotation is found.empty else f" -> {annotation(found.return_annotation)}"
    line = f"{name}({', '.join(words)}){returned}"
    if len(line) <= 100:
        return line
    return "\n".join([f"{name}(", *(f"    {word}," for word in words), f"){returned}"])


# ------------------------------------------------------------------------------------------------ classes


def fields(cls: type[Any]) -> Iterator[str]:
    """The fields of an attrs class, one on a line."""
    for attribute in attrs.fields(cls):
        if attribute.init and not attribute.name.startswith("_"):
            default = "" if attribute.default is attrs.NOTHING else f" = {shown(attribute.default)}"
            yield f"{attribute.name}: {annotation(attribute.type)}{default}"


def methods(cls: type[object]) -> Iterator[tuple[str, Callable[..., object] | property]]:
    """A class's own public functions and properties, in the order of the source."""
    for name, found in vars(cls).items():
        member = found.__func__ if isinstance(found, classmethod | staticmethod) else found
        is_own = name == "__call__" or not name.startswith("_")
        if is_own and (inspect.isfunction(member) or isinstance(member, property)):
            yield name, member


def class_text(cls: type[object], title: str, level: int) -> str:
    """A class: what it is for, its fields or members, its methods."""
    parts = [f"{'#' * level} {title}", prose(cls)]
    if issubclass(cls, enum.Enum):
        members = ", ".join(f"`{cls.__name__}.{member.name}` ({member.value!r})" for member in cls)
        parts.append(f"Members: {members}.")
    elif attrs.has(cls) and (lines := list(fields(cls))):
        parts.append("```text\n" + "\n".join([f"{cls.__name__}(", *(f"    {line}," for line in lines), ")"]) + "\n```")
    if issubclass(cls, BaseException) or issubclass(cls, enum.Enum):
        return "\n\n".join(parts)
    for name, member in methods(cls):
        if isinstance(member, property):
            returned = annotation(inspect.signature(member.fget).return_annotation) if member.fget else ""
            head = f"{name}: {returned}  (property)"
        else:
            head = signature(cls.__name__ if name == "__call__" else name, member)
        parts.append(f"```text\n{head}\n```\n\n{prose(member)}")
    return "\n\n".join(parts)


# ------------------------------------------------------------------------------------------------ generated parts


def settings(cls: type[object], *, without: str = "") -> str:
    """What a table of program.toml takes, ``without`` the key that its heading says already."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for setting in describe(cls):
        if setting.key == without:
            continue
        default = "required" if setting.required else (f"`{setting.default}`" if setting.default else "none")
        rows.append(f"| `{setting.key}` | {cell(setting.type)} | {cell(default)} | {cell(setting.help)} |")
    return "\n".join(rows)


def archive_kinds() -> str:
    """The kinds of archive that this distribution brings, with their settings."""
    parts = []
    for plugin in load_plugins().registry.archives.values():
        if plugin.provider.name == "vna-lifecycle":
            schemes = ", ".join(f"`{scheme}:`" for scheme in plugin.schemes)
            as_url = f" As a URL: {schemes}." if schemes else ""
            head = f'### plugin = "{plugin.name}"'
            parts.append("\n\n".join((head, f"{prose(plugin.settings)}{as_url}", settings(plugin.settings))))
    return "\n\n".join(parts)


def powers_in(source: str) -> dict[str, str]:
    """What the only ``Archive(...)`` of an adapter's source is made with: power -> "yes", or the setting it depends on.

    Raises:
        ValueError: the source has another shape, so that a table made from it could be wrong.
    """
    tree = ast.parse(source)
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Archive"
    ]
    if len(calls) != 1 or calls[0].args or any(keyword.arg is None for keyword in calls[0].keywords):
        raise ValueError("an adapter's archive is made in one place, with its powers by name")
    assigned = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: dict[str, str] = {}
    for keyword in calls[0].keywords:
        value = keyword.value
        if isinstance(value, ast.Name):
            value = assigned.get(value.id, value)
        if isinstance(value, ast.Call | ast.Name):
            found[str(keyword.arg)] = "yes"
        elif isinstance(value, ast.IfExp) and ast.unparse(value.orelse) == "None":
            setting = re.fullmatch(r"settings\.(\w+)(?: == '(\w+)')?", ast.unparse(value.test))
            if setting is None:
                raise ValueError(f"whether an archive has the power {keyword.arg!r} depends on more than a setting")
            wanted = f' = "{setting[2]}"' if setting[2] else ""
            found[str(keyword.arg)] = f"with `{setting[1]}{wanted}`"
        else:
            raise ValueError(f"what the power {keyword.arg!r} is cannot be told from the source")
    return found


def archive_powers() -> dict[str, dict[str, str]]:
    """The powers of each built-in kind of archive, as its adapter makes them, without opening one."""
    found = {}
    for plugin in load_plugins().registry.archives.values():
        if plugin.provider.name == "vna-lifecycle":
            spec = importlib.util.find_spec(f"vna_lifecycle.adapters.{plugin.name}.archive")
            if spec is None or spec.origin is None:
                raise ValueError(f"no adapter makes the archive {plugin.name!r}")
            found[plugin.name] = powers_in(Path(spec.origin).read_text(encoding="utf-8"))
    return found


def powers() -> str:
    """Which built-in archive has which power."""
    found = archive_powers()
    rows = [f"| power | {' | '.join(f'`{name}`' for name in found)} | what it is |", f"|---|{'---|' * len(found)}---|"]
    for power in attrs.fields(ports.Archive):
        port = getattr(ports, re.sub(r" \| None$", "", annotation(power.type)))
        said = cell(prose(port).partition("\n\n")[0])
        cells = " | ".join(has.get(power.name, "") for has in found.values())
        rows.append(f"| `{power.name}` | {cells} | [{port.__name__}](ports.md#{port.__name__.lower()}): {said} |")
    return "\n".join(rows)


def events() -> str:
    """Every kind of event."""
    parts = []
    for event in EVENTS:
        rows = ["| field | type |", "|---|---|"]
        rows += [f"| `{item.name}` | {cell(annotation(item.type))} |" for item in attrs.fields(event)]
        parts.append(f"### {event.kind}\n\nVersion {event.version}. {prose(event)}\n\n" + "\n".join(rows))
    return "\n\n".join(parts)


def states() -> str:
    """The migration's state machine: every step from one state to another, and the events that cause it."""
    steps: dict[tuple[str, str], list[str]] = {}
    for (before, kind), after in TRANSITIONS.items():
        steps.setdefault((before.value, after.value), []).append(kind)
    order = [state.value for state in MigrationState]
    rows = ["| state | state after it | by the event |", "|---|---|---|"]
    for before, after in sorted(steps, key=lambda step: [order.index(state) for state in step]):
        rows.append(f"| {before} | {after} | {', '.join(f'`{kind}`' for kind in steps[before, after])} |")
    return "\n".join(rows)


def error_classes() -> Iterator[type[errors.VnaLifecycleError]]:
    """Every error class, in the order of the source."""
    for value in vars(errors).values():
        if inspect.isclass(value) and issubclass(value, errors.VnaLifecycleError):
            yield value


def error_table() -> str:
    """Every error class with its exit code and fields."""
    rows = ["| class | is a | exit code | fields | meaning |", "|---|---|---|---|---|"]
    for cls in error_classes():
        taken = [name for name in inspect.signature(cls).parameters if name != "message"]
        told = ", ".join(f"`{name}`" for name in taken)
        parent = "`Exception`" if cls.__bases__ == (Exception,) else f"`{cls.__bases__[0].__name__}`"
        rows.append(f"| `{cls.__name__}` | {parent} | {cls.exit_code} | {told} | {cell(prose(cls))} |")
    return "\n".join(rows)


def port_classes(level: int = 3) -> str:
    """Every interface and value of ports, room by room, in the order of the source."""
    rooms = ("archive", "reading", "writing", "remedying", "governing", "knowing", "accepting")
    modules = [importlib.import_module(f"{ports.__name__}.{room}") for room in rooms]
    found = [
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    return "\n\n".join(class_text(cls, cls.__name__, level) for cls in found)


def checks() -> str:
    """Every built-in check: what it looks at, what it proves and cannot, its settings and its findings."""
    found = load_plugins().registry
    parts = []
    for about in abouts():
        if about.check in found.checks:
            plugin: registry.CheckPlugin | registry.WaveCheckPlugin = found.checks[about.check]
            sampled = found.checks[about.check].sampled
            looks = "the studies of the sample, as readers are served them" if sampled else "every transferred study"
        else:
            plugin = found.wave_checks[about.check]
            early = "; before the transfer too, where its blockers hold studies back"
            looks = "the wave as a whole" + (early if found.wave_checks[about.check].before_transfer else "")
        rows = ["| finding | severity | what it means | what to do |", "|---|---|---|---|"]
        rows += [
            f"| `{kind.word}` | {kind.severity.value} | {cell(kind.means)} | {cell(kind.remedy)} |"
            for kind in about.kinds
        ]
        parts += [
            f"### {about.check}",
            f"Looks at {looks}.",
            f"**It proves:** {about.proves}",
            f"**It cannot:** {about.cannot}",
        ]
        if describe(plugin.settings):
            parts.append(f"Settings, in `[checks.{about.check}]`:\n\n{settings(plugin.settings)}")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def defects() -> str:
    """Every defect that the tests plant, with the check that must find it, and as what."""
    rows = ["| defect | check | found as |", "|---|---|---|"]
    for defect in DEFECTS:
        kinds = dict.fromkeys(kind for _, kind, _ in defect.into(Plot()).expected)
        rows.append(f"| {cell(defect.name)} | {defect.check} | {', '.join(f'`{kind}`' for kind in kinds)} |")
    return "\n".join(rows)


def hook_texts() -> str:
    """The hooks, and what registers."""
    parts = []
    for name, hook in methods(hooks.Hooks):
        if not isinstance(hook, property):
            parts.append(f"### {name}\n\n```text\n{signature(name, hook)}\n```\n\n{prose(hook)}")
    parts.append(class_text(registry.Registry, "Registry", 3))
    return "\n\n".join(parts)


def public_names() -> str:
    """Every name of vna_lifecycle.__all__."""
    parts = []
    for name in sorted(vna_lifecycle.__all__, key=str.casefold):
        if name == "__version__":
            parts.append("## \\_\\_version\\_\\_\n\nThe version, as text.")
            continue
        value = getattr(vna_lifecycle, name)
        if inspect.isclass(value):
            parts.append(class_text(value, name, 2))
        else:
            parts.append(f"## {name}\n\n```text\n{signature(name, value)}\n```\n\n{prose(value)}")
    return "\n\n".join(parts)


def further_names(module: ModuleType) -> str:
    """Every name of a public module's ``__all__`` that the package itself does not have."""
    parts = []
    for name in sorted(module.__all__, key=str.casefold):
        value = getattr(module, name)
        if name in vna_lifecycle.__all__:
            parts.append(f"### {name}\n\nAs [above](#{name.casefold()}).")
        elif inspect.isclass(value):
            parts.append(class_text(value, name, 3))
        elif inspect.isfunction(value):
            parts.append(f"### {name}\n\n```text\n{signature(name, value)}\n```\n\n{prose(value)}")
        else:
            parts.append(f"### {name}\n\nText, and to type checkers a type of its own.")
    return "\n\n".join(parts)


GENERATED: Final = MappingProxyType(
    {
        # page: {name of the part: what makes it}
        "program-toml.md": {
            "archives": archive_kinds,
            "migration": lambda: settings(MigrationConfig),
            "waves": lambda: settings(WavePolicy),
            "dates": lambda: settings(DateRange),
            "exclusions": lambda: settings(Exclusion),
            "execution": lambda: settings(ExecutionConfig),
            "sources": lambda: settings(SourceConfig, without="name"),
            "acceptance": lambda: settings(AcceptanceConfig),
            "people": lambda: settings(Person, without="name"),
        },
        "archives.md": {"powers": powers},
        "events.md": {"states": states, "events": events},
        "errors.md": {"errors": error_table},
        "ports.md": {"hooks": hook_texts, "ports": port_classes},
        "checks.md": {"checks": checks, "defects": defects},
        "python.md": {
            "names": public_names,
            "authoring": lambda: further_names(authoring),
            "results": lambda: further_names(results),
        },
    }
)


def renewed(page: str, parts: Iterable[tuple[str, Callable[[], str]]]) -> str:
    """A page's text with its generated parts made anew.

    Raises:
        ValueError: the page has no place for a part.
    """
    for name, make in parts:
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"there is no single place for the generated part {name!r}")
        before, _, rest = page.partition(begin)
        after = rest.partition(end)[2]
        page = f"{before}{begin}\n\n{make()}\n\n{end}{after}"
    return page


def main() -> None:
    """Renew every page."""
    for name, parts in GENERATED.items():
        path = PAGES / name
        text = path.read_text(encoding="utf-8")
        new = renewed(text, parts.items())
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(f"renewed {path}")


if __name__ == "__main__":
    main()
