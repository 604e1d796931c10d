"""SHA-256 beside the wire: while one piece of a data set is hashed, the next is received and written."""

from __future__ import annotations

import hashlib
import threading
from queue import SimpleQueue
from typing import Final

_WORTH_IT: Final = 32 << 10
"""A smaller piece is hashed in less time than it takes to hand it over."""


class Hashing:
    """Digests of one data set after the other, made in a thread that is started when it is needed.

    Pieces are views of a buffer. Whoever writes to that buffer calls `before` first, with the mark that `mark` gave
    after the last piece that lies in it.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pieces: SimpleQueue[memoryview | None] = SimpleQueue()
        self._done: SimpleQueue[None] = SimpleQueue()
        self._given = self._taken = 0
        self._running = False

    def begin(self) -> None:
        """Begin a new data set; what is left of one before it is forgotten."""
        self.before(self._given)
        self._digest = hashlib.sha256()

    def update(self, piece: memoryview) -> None:
        """Add a piece. It must stay as it is until `before` says that it is done with."""
        if len(piece) < _WORTH_IT:
            self.before(self._given)
            self._digest.update(piece)
            return
        if not self._running:
            self._running = True
            threading.Thread(target=self._work, name="dimse hashing", daemon=True).start()
        self._given += 1
        self._pieces.put(piece)

    def mark(self) -> int:
        """How many pieces were handed over."""
        return self._given

    def before(self, mark: int) -> None:
        """Wait until as many pieces as that are done with."""
        while self._taken < mark:
            self._done.get()
            self._taken += 1

    def hexdigest(self) -> str:
        """The digest of all pieces since `begin`."""
        self.before(self._given)
        return self._digest.hexdigest()

    def close(self) -> None:
        """End the thread."""
        if self._running:
            self._running = False
            self._pieces.put(None)

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._digest.update(piece)
            self._done.put(None)
