"""One coordinator at a time: a lock that dies with its process, and an epoch that fences off one that only slept."""

from __future__ import annotations

import fcntl
import os
import socket
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from vna_lifecycle.errors import LeaseHeld, StorageError
from vna_lifecycle.ledger.store import Ledger


class Lease:
    """The right to cause effects, until `release` or the end of the process. Pass ``epoch`` to every append.

    The lock keeps a second coordinator from starting. Should both run all the same (a lock file that was deleted, a
    network share that lies), the newer epoch wins and the older coordinator's next append raises LeaseLost.
    """

    def __init__(self, descriptor: int, epoch: int) -> None:
        self.epoch = epoch
        self._descriptor: int | None = descriptor
        _held.add(self)

    @classmethod
    def take(cls, ledger: Ledger, path: Path, holder: str) -> Lease:
        """Take the lease, without waiting. ``path`` is the lock file; ``holder`` says what for, without patient data.

        Raises:
            LeaseHeld: another process has it; the error's ``holder`` says which, on which host, since when.
            StorageError: the lock file cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StorageError(f"the lock file cannot be opened ({exc.strerror})", path=path) from exc
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                other = os.pread(descriptor, 1000, 0).decode(errors="replace").strip() or "an unknown process"
                raise LeaseHeld(
                    f"another coordinator runs this program: {other}", holder=other, hint="wait for it, or stop it"
                ) from None
            epoch = ledger.take_epoch()
            who = f"{holder} (process {os.getpid()} on {socket.gethostname()} since {ledger.now()})\n"
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, who.encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, epoch)

    def release(self) -> None:
        """Let another coordinator start. Doing it again has no effect."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _held.discard(self)
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


_held: weakref.WeakSet[Lease] = weakref.WeakSet()


def _release_in_child() -> None:
    for lease in list(_held):  # a forked worker that outlives its coordinator must not keep the lock alive
        lease.release()


os.register_at_fork(after_in_child=_release_in_child)
