"""What a transfer opens at its start stops no wave that does not need it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from vna_lifecycle.config import Engine
from vna_lifecycle.errors import ArchiveUnreachable
from vna_lifecycle.program.effects import _letting_go


def test_a_source_that_cannot_be_opened_is_passed_over_where_arrivals_are_let_go_of() -> None:
    arrivals = object()

    def archive(name: str) -> Any:
        if name == "dead":
            raise ArchiveUnreachable("nobody answers", archive=name)
        return SimpleNamespace(arrivals=arrivals if name == "sends" else None)

    config = SimpleNamespace(
        execution=SimpleNamespace(engine=Engine.THREADS),
        migration=SimpleNamespace(sources=("dead", "plain", "sends")),
    )
    program: Any = SimpleNamespace(config=config, archive=archive)
    journal: Any = None
    assert _letting_go(program, journal)._keepers == [arrivals]
