"""How errors are told."""

import json
from pathlib import Path

import pytest

from vna_lifecycle.cli.trouble import error_dict, error_lines, print_error
from vna_lifecycle.errors import (
    ArchiveUnreachable,
    CatalogCorrupt,
    ConfigurationError,
    LeaseHeld,
    LedgerCorrupt,
    UnexpectedSize,
    VnaLifecycleError,
)

SEVERAL = ConfigurationError(
    "program.toml cannot be used: 2 problems\n  waves[0].name: is missing\n  : unreadable",
    problems=(("waves[0].name", "is missing"), ("", "unreadable")),
    hint="edit it",
)


def test_problems_are_told_one_on_each_line_with_their_paths() -> None:
    assert error_lines(SEVERAL) == [
        "error: program.toml cannot be used: 2 problems",
        "  waves[0].name: is missing",
        "  unreadable",
        "what to do next: edit it",
    ]


def test_a_place_is_told_where_there_is_one() -> None:
    error = CatalogCorrupt("the catalog is damaged", path="/p/catalog.db")
    assert error_lines(error) == ["error: the catalog is damaged", "  where: /p/catalog.db"]
    assert error_lines(CatalogCorrupt("the catalog is damaged")) == ["error: the catalog is damaged"]


@pytest.mark.parametrize("message", ["it is not there", "old: it is not there"])
def test_the_archive_that_an_error_is_about_is_named_once(message: str) -> None:
    assert error_lines(ArchiveUnreachable(message, archive="old")) == ["error: old: it is not there"]


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (
            SEVERAL,
            {"problems": [{"path": "waves[0].name", "message": "is missing"}, {"path": "", "message": "unreadable"}]},
        ),
        (ArchiveUnreachable("gone", archive="old", transient=True), {"archive": "old", "transient": True}),
        (CatalogCorrupt("damaged", path=Path("/p/c.db")), {"path": "/p/c.db"}),
        (LedgerCorrupt("bad", sequence=7), {"sequence": 7}),
        (LeaseHeld("held", holder="transfer"), {"holder": "transfer"}),
        (UnexpectedSize("late", expected=1, actual=2), {"expected": 1, "actual": 2}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_json_has_the_fields_of_the_errors_class(
    error: VnaLifecycleError, fields: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_error(error, as_json=True) == error.exit_code
    streams = capsys.readouterr()
    told = json.loads(streams.out)["error"]
    assert streams.err == ""
    assert told.items() >= {"type": type(error).__name__, "exit_code": error.exit_code, "hint": error.hint}.items()
    assert {name: told[name] for name in fields} == fields
    assert "\n" not in told["message"]


def test_every_error_says_its_type_message_hint_and_exit_code() -> None:
    assert set(error_dict(VnaLifecycleError("x", hint="y"))) == {"type", "message", "hint", "exit_code"}
