"""What the program knows of its sources beyond their objects: from program.toml, extracts and the archives."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from vna_lifecycle.adapters.truth_extract import TruthExtract
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.truth import KnownSource, TruthResult, look_at_sources
from vna_lifecycle.ports import KnowsTruth

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program


def read_truths(program: Program, journal: Journal, again: Collection[str]) -> list[TruthResult]:
    """Read the databases of the sources named by ``again`` anew, and put on record what is known of all sources.

    Raises:
        ArchiveError: an archive whose database is to be asked does not answer.
        ConfigurationError: an extract cannot be used; everything else is on record then.
    """
    sources = [_known(program, name, ask=name in again) for name in program.config.migration.sources]
    return look_at_sources(journal, sources, again)


def _known(program: Program, name: str, *, ask: bool) -> KnownSource:
    config = program.config.source(name)
    move = {"deleted": config.include_deleted, "hidden": config.include_hidden}
    return KnownSource(
        name=name,
        truth=_truth(program, name) if ask else None,
        move=tuple(what for what, moved in move.items() if moved),
        beyond_dicom=tuple((item.what, item.disposition) for item in config.beyond_dicom),
    )


def _truth(program: Program, name: str) -> KnowsTruth | None:
    """The extract that program.toml names, before what the archive itself can tell."""
    path = program.config.source(name).truth
    return TruthExtract(path, f"sources.{name}.truth") if path is not None else program.archive(name).truth


def truth_columns(program: Program, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of a source's extract that are used, and its other ones; none where there is no extract.

    Raises:
        ConfigurationError: the extract cannot be used.
    """
    path = program.config.source(name).truth
    return TruthExtract(path, f"sources.{name}.truth").columns() if path is not None else ((), ())
