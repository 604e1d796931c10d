"""The house rules that no type checker sees: layers, third-party rooms, cycles, sizes and cheap imports."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import attrs
import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = "vna_lifecycle"
LINES = 400

LAYERS = (
    ("_version", "evidence_verifier"),
    ("errors",),
    ("model",),
    ("policy",),
    ("ports",),
    ("plugin", "dicom", "database"),
    ("ledger", "catalog", "vault"),
    ("adapters", "checks", "rules", "clinical_reports", "execution", "reporting"),
    ("config", "builtin", "engine"),
    ("program",),
    ("authoring", "results"),
    ("__init__",),
    ("testing", "demo"),
    ("cli",),
    ("__main__",),
)
"""Rooms, lowest first: a room may import those below it, and none beside it."""

FORBIDDEN = {
    "engine": LAYERS[7],  # it is handed objects
    "evidence_verifier": tuple(room for layer in LAYERS for room in layer),  # a stranger runs it without this software
}
"""What a room may not import although it is below."""

IMPORTED_BY_NOBODY = ("builtin", "evidence_verifier", "__main__")

THIRD_PARTY = {
    "pydicom": ("dicom", "adapters", "testing", "demo"),
    "pynetdicom": ("adapters", "testing"),
    "boto3": ("adapters", "testing"),
    "botocore": ("adapters", "testing"),
    "sqlalchemy": ("database", "ledger", "catalog"),
    "alembic": ("database",),
    "urllib3": ("adapters", "testing"),
    "jinja2": ("reporting",),
    "pluggy": ("plugin",),
    "cyclopts": ("cli",),
    "rich": ("cli",),
}
"""The only rooms that may load a package (to name its types for type checkers loads nothing). Others may be loaded
anywhere, if they are declared."""

STUBS = ("types_boto3_s3", "types_boto3_medical_imaging", "types_boto3_sqs")
"""Packages of types, which only type checkers load: they come with the development environment."""

COME_WITH = {"boto3": ("botocore", "s3transfer", "urllib3"), "distributed": ("dask",)}
"""Packages that are imported but come as a necessary part of a declared one."""

ALLOWED: frozenset[tuple[str, str]] = frozenset()
"""Exceptions from the layers, as (importing module, imported room). None is needed."""


@attrs.frozen
class Import:
    """One import statement; ``target`` is the full dotted name, down to the imported attribute."""

    module: str
    target: str
    line: int
    type_checking: bool


@attrs.frozen
class Module:
    name: str
    path: Path
    is_package: bool
    imports: tuple[Import, ...]

    @property
    def room(self) -> str:
        return room_of(self.name)


def room_of(name: str) -> str:
    """The room of a dotted name in the package; the package itself is ``__init__``."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def read_modules(source: Path) -> dict[str, Module]:
    """Every module under ``source``, by its dotted name."""
    paths = {}
    for path in sorted((source / PACKAGE).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    modules = {}
    for name, path in paths.items():
        is_package = path.name == "__init__.py"
        found = tuple(_imports(name, is_package, ast.parse(path.read_text(encoding="utf-8")), set(paths)))
        modules[name] = Module(name, path, is_package, found)
    return modules


def _imports(module: str, is_package: bool, tree: ast.AST, known: set[str]) -> Iterator[Import]:
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".") if is_package else module.split(".")[:-1]
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{prefix}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        for name in names:
            yield Import(module, name, getattr(node, "lineno", 0), id(node) in guarded)


def our_target(imported: Import, modules: dict[str, Module]) -> str | None:
    """The module of ours that an import loads, or None: its longest known prefix."""
    parts = imported.target.split(".")
    if parts[0] != PACKAGE:
        return None
    while parts and ".".join(parts) not in modules:
        parts.pop()
    return ".".join(parts) or None


def violations(source: Path, declared: frozenset[str], allowed: frozenset[tuple[str, str]] = ALLOWED) -> list[str]:
    """What breaks the house rules in the package under ``source``, one sentence each."""
    modules = read_modules(source)
    found: list[str] = []
    level = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
    for module in modules.values():
        if module.room not in level:
            found.append(f"{module.name}: the room {module.room} has no layer")
            continue
        lines = len(module.path.read_text(encoding="utf-8").splitlines())
        if lines > LINES:
            found.append(f"{module.name}: {lines} lines, the limit is {LINES}")
        for imported in module.imports:
            where = f"{module.name}:{imported.line}"
            target = our_target(imported, modules)
            if target is None:
                found += [f"{where}: {what}" for what in _third_party(module.room, imported, declared)]
                continue
            room = room_of(target)
            if room == module.room or (module.name, room) in allowed:
                continue
            if room in IMPORTED_BY_NOBODY:
                found.append(f"{where}: {room} is imported by nobody")
            elif room in level and level[room] > level[module.room]:
                found.append(f"{where}: {module.room} may not import {room}, which is above it")
            elif room in level and level[room] == level[module.room]:
                found.append(f"{where}: {module.room} may not import {room}, which is beside it")
            elif room in FORBIDDEN.get(module.room, ()):
                found.append(f"{where}: {module.room} may not import {room}")
    return found + _cycles(modules)


def _third_party(room: str, imported: Import, declared: frozenset[str]) -> Iterator[str]:
    package = imported.target.split(".")[0]
    if package in sys.stdlib_module_names:
        return
    if room == "evidence_verifier":
        yield f"{room} may import the standard library only, not {package}"
    if package not in declared and not (imported.type_checking and package in STUBS):
        yield f"{package} is not declared in pyproject.toml"
    if room not in THIRD_PARTY.get(package, (room,)) and not imported.type_checking:
        yield f"{package} may be imported in {', '.join(THIRD_PARTY[package])} only"


def _cycles(modules: dict[str, Module]) -> list[str]:
    graph = {
        module.name: {
            target
            for imported in module.imports
            if not imported.type_checking and (target := our_target(imported, modules)) and target != module.name
        }
        for module in modules.values()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        return [f"a cycle of imports: {' <- '.join(exc.args[1])}"]
    return []


def declared_packages(pyproject: Path) -> frozenset[str]:
    """Import names of the packages that pyproject.toml declares, extras included."""
    project = tomllib.loads(pyproject.read_text())["project"]
    requirements = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    names = {re.split(r"[^A-Za-z0-9_.-]", item, maxsplit=1)[0].replace("-", "_").lower() for item in requirements}
    return frozenset(names | {part for name in names for part in COME_WITH.get(name, ())})


DECLARED = declared_packages(REPOSITORY / "pyproject.toml")


def test_the_house_keeps_its_layers_rooms_and_sizes() -> None:
    found = violations(REPOSITORY / "src", DECLARED)
    assert not found, "\n".join(found)


def skeleton(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"__init__.py": "", "errors.py": "", "ports.py": "", **files}.items():
        path = root / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_skeleton_that_keeps_the_rules_has_no_violation(tmp_path: Path) -> None:
    tree = skeleton(
        tmp_path,
        {
            "model/__init__.py": "",
            "model/event.py": "import attrs\nimport datetime",
            "ledger/__init__.py": "from vna_lifecycle.ledger.store import x",
            "ledger/store.py": "import sqlalchemy\nfrom vna_lifecycle import errors, model\nx = 1",
            "engine/transfer.py": "from ..ports import Archive\ndef f():\n    import vna_lifecycle.ledger.store",
            "cli/__init__.py": "import vna_lifecycle\ndef f():\n    import rich.console",
            "evidence_verifier.py": "import hashlib",
            "vault.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sqlalchemy import Engine",
            "__main__.py": "from vna_lifecycle.cli import main",
        },
    )
    assert violations(tree, DECLARED) == []


GUARDED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from vna_lifecycle.ports import x"
NESTED = "def f():\n    def g():\n        from vna_lifecycle.ports import x"
DYNAMIC = "import importlib\nimportlib.import_module('vna_lifecycle.ports')"
UP = "errors may not import ports, which is above it"


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"errors.py": "import vna_lifecycle.ports"}, f"vna_lifecycle.errors:1: {UP}"),
        ({"errors.py": "from vna_lifecycle import ports"}, f"vna_lifecycle.errors:1: {UP}"),
        ({"errors.py": "from . import ports"}, f"vna_lifecycle.errors:1: {UP}"),
        ({"errors.py": "from .ports import x"}, f"vna_lifecycle.errors:1: {UP}"),
        ({"errors.py": NESTED}, f"vna_lifecycle.errors:3: {UP}"),
        ({"errors.py": DYNAMIC}, f"vna_lifecycle.errors:2: {UP}"),
        ({"errors.py": GUARDED}, f"vna_lifecycle.errors:3: {UP}"),
        ({"errors.py": "import vna_lifecycle"}, "errors may not import __init__, which is above it"),
        (
            {"ledger/x.py": "from vna_lifecycle.catalog import y", "catalog/__init__.py": "y = 1"},
            "vna_lifecycle.ledger.x:1: ledger may not import catalog, which is beside it",
        ),
        (
            {"engine/x.py": "def f():\n    import vna_lifecycle.adapters.files", "adapters/files.py": ""},
            "vna_lifecycle.engine.x:2: engine may not import adapters",
        ),
        ({"program.py": "import vna_lifecycle.builtin", "builtin.py": ""}, "builtin is imported by nobody"),
        ({"evidence_verifier.py": "import vna_lifecycle.errors"}, "evidence_verifier may not import errors"),
        ({"evidence_verifier.py": "import cryptography"}, "evidence_verifier may import the standard library only"),
        ({"engine/x.py": "import pydicom"}, "vna_lifecycle.engine.x:1: pydicom may be imported in dicom, adapters"),
        ({"dicom/x.py": "from pynetdicom import AE"}, "pynetdicom may be imported in adapters, testing only"),
        ({"engine/x.py": "def f():\n    import boto3"}, "vna_lifecycle.engine.x:2: boto3 may be imported in"),
        ({"vault.py": "import sqlalchemy as sa"}, "vna_lifecycle.vault:1: sqlalchemy may be imported in"),
        ({"model/x.py": "import requests"}, "requests is not declared in pyproject.toml"),
        ({"utils.py": ""}, "vna_lifecycle.utils: the room utils has no layer"),
        ({"model/x.py": "x = 1\n" * 401}, "vna_lifecycle.model.x: 401 lines"),
        (
            {"model/a.py": "import vna_lifecycle.model.b", "model/b.py": "def f():\n    from .a import x"},
            "a cycle of imports: ",
        ),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, files: dict[str, str], complaint: str) -> None:
    found = violations(skeleton(tmp_path, files), DECLARED)
    assert any(complaint in sentence for sentence in found), found


def test_an_exception_is_one_module_and_one_room(tmp_path: Path) -> None:
    tree = skeleton(tmp_path, {"errors.py": "import vna_lifecycle.ports", "model/x.py": "import vna_lifecycle.ports"})
    [left] = violations(tree, DECLARED, frozenset({("vna_lifecycle.errors", "ports")}))
    assert left.startswith("vna_lifecycle.model.x")


def loaded_by(statement: str) -> set[str]:
    """The top-level packages in memory after a statement in a fresh interpreter."""
    script = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


HEAVY = {
    "boto3",
    "botocore",
    "pynetdicom",
    "sqlalchemy",
    "pydicom",
    "numpy",
    "cyclopts",
    "rich",
    "jinja2",
    "cryptography",
}


@pytest.mark.parametrize(
    "statement",
    [
        "import vna_lifecycle",
        "import vna_lifecycle.ports",
        "from vna_lifecycle.plugin import load_plugins; assert load_plugins().versions",
        "import vna_lifecycle.config",
    ],
)
def test_what_everybody_imports_loads_nothing_heavy(statement: str) -> None:
    assert loaded_by(statement) & HEAVY == set()


def test_what_is_heavy_is_seen_when_it_is_loaded() -> None:
    assert "sqlalchemy" in loaded_by("import sqlalchemy") & HEAVY
