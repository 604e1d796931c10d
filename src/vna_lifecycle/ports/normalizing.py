"""Declared changes before the first store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias

from vna_lifecycle.model.change import AttributeChange

HeaderValues: TypeAlias = "dict[str, tuple[str, ...]]"
"""A data set's top-level attributes by keyword, values as text."""


class NormalizationRule(Protocol):
    """A pure, versioned function from a data set's header to attribute changes."""

    @property
    def revision(self) -> str:
        """Changes whenever the rule's outcome may change for any header."""
        ...

    def changes(self, header: HeaderValues) -> Iterable[AttributeChange]:
        """What shall change before the first store; the same header always gives the same changes."""
        ...
