"""The reference is complete, and agrees with the code.

Its generated parts are renewed with ``python tools/reference.py``.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import attrs
import pytest

import vna_lifecycle
from vna_lifecycle import errors, ports
from vna_lifecycle.adapters.files.settings import FilesSettings
from vna_lifecycle.builtin import open_files
from vna_lifecycle.cli.app import app
from vna_lifecycle.config import ExecutionConfig, MigrationConfig, Person, describe, load_config
from vna_lifecycle.errors import VnaLifecycleError
from vna_lifecycle.execution.windows import parse_window
from vna_lifecycle.model.encoding import EncodingClass
from vna_lifecycle.model.event import EVENTS
from vna_lifecycle.model.lifecycle import TRANSITIONS
from vna_lifecycle.model.wave import DateRange, Exclusion, WavePolicy
from vna_lifecycle.plugin import hooks, load_plugins
from vna_lifecycle.testing.conformance import site

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_generator", ROOT / "tools" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


def page(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    level = heading.split(" ", 1)[0]
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading {heading!r}"
    return found[1]


def error_classes() -> list[type[VnaLifecycleError]]:
    """The public ones; an adapter may tell some apart by a class of its own."""
    return [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, VnaLifecycleError)]


@pytest.fixture(scope="module")
def renewed() -> dict[str, str]:
    """Every generated page made anew, in a process where no other test has resolved the annotations of our classes."""
    script = "\n".join(
        [
            "import json, sys",
            f"sys.path.insert(0, {str(ROOT / 'tools')!r})",
            "import reference as made",
            "texts = {name: (made.PAGES / name).read_text(encoding='utf-8') for name in made.GENERATED}",
            "print(json.dumps({name: made.renewed(texts[name], made.GENERATED[name].items()) for name in texts}))",
        ]
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    pages: dict[str, str] = json.loads(run.stdout)
    return pages


@pytest.mark.parametrize("name", GENERATOR.GENERATED)
def test_a_page_agrees_with_the_code(name: str, renewed: dict[str, str]) -> None:
    assert renewed[name] == page(name), "run: python tools/reference.py"


def test_a_generated_part_without_a_place_is_an_error() -> None:
    with pytest.raises(ValueError, match="no single place"):
        GENERATOR.renewed("# A page\n", [("a", lambda: "text")])


@pytest.mark.parametrize(
    ("heading", "settings"),
    [
        ("## [migration]", MigrationConfig),
        ("## [[waves]]", WavePolicy),
        ("## [[waves]]", DateRange),
        ("## [[exclusions]]", Exclusion),
        ("## [execution]", ExecutionConfig),
        ("## [people.NAME]", Person),
        *(
            (f'### plugin = "{plugin.name}"', plugin.settings)
            for plugin in load_plugins().registry.archives.values()
            if plugin.provider.name == "vna-lifecycle"
        ),
    ],
)
def test_every_setting_is_found_in_its_section_and_has_a_meaning(heading: str, settings: type[object]) -> None:
    rows = re.findall(r"^\| `([^`]+)` \|.*\| ([^|]*) \|$", section(page("program-toml.md"), heading), re.MULTILINE)
    told = dict(rows)
    missing = {setting.key for setting in describe(settings) if setting.key != "name"} - told.keys()
    assert not missing
    assert all(meaning.strip() for meaning in told.values())


def test_the_windows_keys_are_those_that_are_told() -> None:
    keys = re.findall(r"^\| `(\w+)` \|", section(page("program-toml.md"), "## [execution]"), re.MULTILINE)
    own = keys[len(describe(ExecutionConfig)) :]
    values = {"days": "mon-fri", "from": "19:00", "to": "24:00", "share": 0.5}
    assert own == list(values)
    assert parse_window(values).share == 0.5
    with pytest.raises(ValueError, match=", ".join(values)):
        parse_window({"other": 1})


def test_the_full_example_can_be_used_and_shows_every_key(tmp_path: Path) -> None:
    example = section(page("program-toml.md"), "## A full example").split("```toml\n")[1].split("```")[0]
    (tmp_path / "program.toml").write_text(example, encoding="utf-8")
    config = load_config(tmp_path / "program.toml", load_plugins().registry)
    assert [wave.name for wave in config.waves] == ["pilot", "recent", "undated", "rest"]
    for settings in (MigrationConfig, ExecutionConfig, Person, DateRange):
        for setting in describe(settings):
            assert re.search(rf"\b{setting.key} = ", example) or setting.key == "name", setting.key


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_every_event_kind_is_found_with_its_version_and_fields(event: type[attrs.AttrsInstance]) -> None:
    text = section(page("events.md"), f"### {event.kind}")  # type: ignore[attr-defined]  # a class variable of each
    assert f"Version {event.version}." in text  # type: ignore[attr-defined]  # the same
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == [item.name for item in attrs.fields(event)]


def test_no_event_kind_is_told_that_is_none() -> None:
    assert re.findall(r"^### (\S+)$", page("events.md"), re.MULTILINE) == [event.kind for event in EVENTS]


def test_the_table_of_states_has_every_transition_and_no_other() -> None:
    table = page("events.md").split("<!-- generated: states -->")[1].split("<!-- end of states -->")[0]
    told = {
        (before, kind): after
        for before, after, kinds in re.findall(r"^\| (\w+) \| (\w+) \| (.*) \|$", table, re.MULTILINE)
        for kind in re.findall(r"`([\w-]+)`", kinds)
    }
    assert told == {(before.value, kind): after.value for (before, kind), after in TRANSITIONS.items()}


def test_every_error_class_is_found_with_its_exit_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (\d+) \|", page("errors.md"), re.MULTILINE)
    assert {name: (parent, int(code)) for name, parent, code in rows} == {
        cls.__name__: (cls.__bases__[0].__name__, cls.exit_code) for cls in error_classes()
    }


def test_every_hook_is_found_with_its_parameters() -> None:
    for name, hook in vars(hooks.Hooks).items():
        if not name.startswith("_"):
            parameters = ", ".join(inspect.signature(hook.__func__).parameters)
            assert f"{name}({parameters}: " in section(page("ports.md"), f"### {name}")


def test_every_port_every_power_and_every_method_of_a_port_is_found() -> None:
    text = page("ports.md")
    for name, value in vars(ports).items():
        if inspect.isclass(value) and value.__module__.startswith(f"{ports.__name__}."):
            told = section(text, f"### {name}")
            members = [item for item in vars(value) if not item.startswith("_")]
            for member in members:
                assert re.search(rf"\b{member}\b", told), f"{name}.{member}"


def test_every_public_name_is_found() -> None:
    told = re.findall(r"^## (\S+)$", page("python.md"), re.MULTILINE)
    assert sorted(name.replace("\\", "") for name in told) == sorted(vna_lifecycle.__all__)


def test_every_public_name_says_what_it_is_for() -> None:
    for name in vna_lifecycle.__all__:
        text = section(page("python.md"), f"## {name}" if name != "__version__" else "## \\_\\_version\\_\\_")
        assert re.match(r"\s*(```text\n.*?```\s*)?[A-Z]", text, re.DOTALL), name


def test_every_verb_is_found_in_the_reference_of_the_command_line() -> None:
    for verb in app:
        assert verb.startswith("-") or re.search(rf"^\| `{verb}\b", page("command-line.md"), re.MULTILINE), verb


def test_the_powers_that_are_told_of_a_folder_are_those_that_an_opened_one_has(tmp_path: Path) -> None:
    archive = open_files(FilesSettings(path=tmp_path), site(tmp_path))
    has = {power.name for power in attrs.fields(ports.Archive) if getattr(archive, power.name) is not None}
    archive.reads.close()
    assert GENERATOR.archive_powers()["files"].keys() == has


def test_every_built_in_archive_and_every_power_is_in_the_table() -> None:
    told = GENERATOR.archive_powers()
    assert told.keys() == {
        name for name, plugin in load_plugins().registry.archives.items() if plugin.provider.name == "vna-lifecycle"
    }
    assert re.findall(r"^\| `(\w+)` \| (?!a)", page("archives.md"), re.MULTILINE) == [
        power.name for power in attrs.fields(ports.Archive)
    ]
    assert all("reads" in powers and "truth" not in powers for powers in told.values())


@pytest.mark.parametrize(
    ("made", "powers"),
    [
        ("Archive(reads=Reader())", {"reads": "yes"}),
        ("commits = Asks() if settings.ask else None\nArchive(reads=Reader(), commits=commits)",
         {"reads": "yes", "commits": "with `ask`"}),
    ],
)  # fmt: skip
def test_powers_are_told_as_an_adapter_makes_them(made: str, powers: dict[str, str]) -> None:
    assert GENERATOR.powers_in(made) == powers


@pytest.mark.parametrize(
    "made",
    [
        "Archive(Reader())",
        "Archive(**powers)",
        "Archive(reads=Reader())\nArchive(reads=Reader(), stores=Store())",
        "stores = Store() if site.name else None\nArchive(reads=Reader(), stores=stores)",
        "Archive(reads=Reader(), stores=None)",
        "evolve(archive, stores=Store())",
    ],
)
def test_powers_that_cannot_be_told_from_the_source_are_an_error(made: str) -> None:
    with pytest.raises(ValueError, match="power"):
        GENERATOR.powers_in(made)


def test_every_class_of_difference_between_encodings_is_explained_in_the_order_in_which_they_are_told() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \|", section(page("digests.md"), "## encoding"), re.MULTILINE)
    assert told == [each.value for each in EncodingClass]
