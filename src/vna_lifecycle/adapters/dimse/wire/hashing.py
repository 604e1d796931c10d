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
    """Makes the digests of one connection's data sets, in a thread that is started when it is needed.

    Pieces are views of a buffer. Whoever writes to that buffer calls `before` first, with the mark that `mark` gave
    after the last piece that lies in it. Nobody waits for the thread to be given a processor: what it has not begun,
    the caller does himself.
    """

    def __init__(self) -> None:
        self._pieces: deque[tuple[hashlib._Hash, memoryview]] = deque()
        self._turn = threading.Lock()
        self._wake: SimpleQueue[bool] = SimpleQueue()
        self._given = self._done = 0
        self._running = False

    def begin(self) -> Digest:
        """The digest of a new data set. It may lag behind while the next one is begun."""
        return Digest(self)

    def hand_over(self, digest: hashlib._Hash, piece: memoryview) -> int:
        """Add a piece to a digest, soon; its mark. The piece must stay as it is until `before` that mark."""
        if not self._running:
            self._running = True
            threading.Thread(target=self._work, name="dimse hashing", daemon=True).start()
        self._pieces.append((digest, piece))
        self._given += 1  # only now: the thread goes by it
        self._wake.put(True)
        return self._given

    def mark(self) -> int:
        """How many pieces were handed over."""
        return self._given

    def done(self, mark: int) -> bool:
        """Whether as many pieces as that are done with."""
        return self._done >= mark

    def before(self, mark: int) -> None:
        """See to it that as many pieces as that are done with. May be called from any thread."""
        if self._done < mark:
            self._hash(mark)

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
                digest, piece = self._pieces.popleft()
                digest.update(piece)
                self._done += 1


class Digest:
    """The SHA-256 of one data set, piece by piece."""

    __slots__ = ("_digest", "_hashing", "_mark")

    def __init__(self, hashing: Hashing) -> None:
        self._hashing = hashing
        self._digest = hashlib.sha256()
        self._mark = 0

    def update(self, piece: memoryview) -> None:
        """Add a piece, a view of the connection's buffer."""
        if len(piece) < _WORTH_IT and self._hashing.done(self._mark):
            self._digest.update(piece)
        else:
            self._mark = self._hashing.hand_over(self._digest, piece)

    def hexdigest(self) -> str:
        """The digest, once every piece is in it. May be called from any thread."""
        self._hashing.before(self._mark)
        return self._digest.hexdigest()
