"""SHA-256 beside the wire: while one piece of a data set is hashed, the next is received and written."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from queue import SimpleQueue
from typing import Final

_WORTH_IT: Final = 32 << 10
"""A smaller piece is hashed in less time than it takes to hand it over."""


class Hashing:
    """Digests of one data set after the other, made in a thread that is started when it is needed.

    Pieces are views of a buffer. Whoever writes to that buffer calls `before` first, with the mark that `mark` gave
    after the last piece that lies in it. Nobody waits for the thread to be given a processor: what it has not begun,
    the caller does himself.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pieces: deque[memoryview] = deque()
        self._turn = threading.Lock()
        self._wake: SimpleQueue[bool] = SimpleQueue()
        self._given = self._done = 0
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
        self._pieces.append(piece)
        self._given += 1  # only now: the thread goes by it
        self._wake.put(True)

    def mark(self) -> int:
        """How many pieces were handed over."""
        return self._given

    def before(self, mark: int) -> None:
        """See to it that as many pieces as that are done with."""
        if self._done < mark:
            self._hash(mark)

    def hexdigest(self) -> str:
        """The digest of all pieces since `begin`."""
        self.before(self._given)
        return self._digest.hexdigest()

    def close(self) -> None:
        """End the thread."""
        if self._running:
            self._running = False
            self._wake.put(False)

    def _work(self) -> None:
        while self._wake.get():
            self._hash(self._given)

    def _hash(self, mark: int) -> None:
        with self._turn:
            while self._done < mark:
                self._digest.update(self._pieces.popleft())
                self._done += 1
