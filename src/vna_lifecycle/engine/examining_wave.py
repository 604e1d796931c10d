"""A wave case that tells a watch whose time is running: the check's, or that of the catalog and the archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, cast

from vna_lifecycle.ports import WaveCase


def watched(case: WaveCase, outside: Callable[[], AbstractContextManager[object]]) -> WaveCase:
    """A case that gives what ``case`` gives. ``outside`` is entered whenever whoever asks has to wait for it."""
    return cast(WaveCase, _Watched(case, outside))


class _Watched:
    """Every question of a wave case is a method whose answer is a stream; anything else is a plain value."""

    def __init__(self, case: WaveCase, outside: Callable[[], AbstractContextManager[object]]) -> None:
        self._case = case
        self._outside = outside

    def __getattr__(self, name: str) -> Any:  # whatever the question's type is
        asked = getattr(self._case, name)
        return asked if isinstance(asked, str) else lambda *details: self._over(asked, details)

    def _over(self, ask: Callable[..., Iterator[object]], details: tuple[object, ...]) -> Iterator[object]:
        with self._outside():
            stream = ask(*details)
        while True:
            with self._outside():
                item = next(stream, None)  # no answer is None
            if item is None:
                return
            yield item
