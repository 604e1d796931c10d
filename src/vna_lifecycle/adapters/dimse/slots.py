"""How many associations with one archive may be open at the same time: a number that may change meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager


class Slots:
    """Lets so many in, and keeps others waiting."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._changed = threading.Condition()

    @property
    def most(self) -> int:
        """How many are let in."""
        return self._most

    @most.setter
    def most(self, number: int) -> None:
        with self._changed:
            self._most = number
            self._changed.notify_all()

    @contextmanager
    def one(self) -> Generator[None, None, None]:
        """One of them, for as long as the ``with`` statement; it is waited for."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken < self._most)
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()
