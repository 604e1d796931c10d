"""A catalog whose current state was folded by other software, as after an update."""

from __future__ import annotations

from vna_lifecycle.catalog import Catalog, projection
from vna_lifecycle.database import writing


def fold_anew(catalog: Catalog) -> None:
    """Let the catalog find that its state was folded otherwise."""
    with writing(catalog._engine) as connection:
        projection.keep(connection, "fold", projection.FOLD - 1)
    catalog.forget_outdated()
