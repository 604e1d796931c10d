"""The archives of a program, each opened once however many threads ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

from vna_lifecycle.ports import Archive


class OpenArchives:
    """Archives by name, opened at their first use with ``open_archive`` and closed together."""

    def __init__(self, open_archive: Callable[[str], Archive]) -> None:
        self._open = open_archive
        self._lock = threading.Lock()  # an archive may listen on a port, which only one can
        self._opened: dict[str, Archive] = {}

    def get(self, name: str) -> Archive:
        """The archive of that name. One that could not be opened is tried again at the next call."""
        with self._lock:
            if name not in self._opened:
                self._opened[name] = self._open(name)
            return self._opened[name]

    def close(self) -> None:
        """Close all that are open; one that fails to close keeps none of the others open."""
        with self._lock, ExitStack() as closing:
            for archive in self._opened.values():
                closing.callback(archive.reads.close)
            self._opened.clear()
