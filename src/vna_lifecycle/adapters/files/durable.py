"""Making changes to a folder tree last: opened folders, fsync, copies, locks. Never through a symbolic link."""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from vna_lifecycle.adapters.files.tree import Position
from vna_lifecycle.errors import ArchiveError, ArchiveFull, ArchiveReadOnly

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FAST_COPY: Final = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
_CHUNK: Final = 1 << 20
_AT_ONCE: Final = 1 << 30
_SYNCS: Final = 8
_PATIENCE: Final = 60.0
"""Seconds for a lock. It is held while a batch of a study's objects gets names and a disk has written them."""

_PAUSE: Final = 0.005


class LockHeld(TimeoutError):
    """A process holds a lock for longer than it takes to write: it was stopped, or its disk hangs."""


class Folders:
    """The folders that one commit touches: opened once, and made durable together by `sync`."""

    def __init__(self, root: Path) -> None:
        self._opened: dict[Position, int] = {(): os.open(root, _FOLDER)}
        self._changed: set[Position] = set()

    def __enter__(self) -> Folders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self._opened.values():
            os.close(descriptor)
        self._opened.clear()

    def open(self, position: Position) -> int:
        """A descriptor of the folder, which is made if it is not there."""
        if (known := self._opened.get(position)) is not None:
            return known
        parent = self.open(position[:-1])
        with suppress(FileExistsError):
            os.mkdir(position[-1], 0o777, dir_fd=parent)
        descriptor = os.open(position[-1], _FOLDER, dir_fd=parent)
        self._opened[position] = descriptor
        return descriptor

    def changed(self, position: Position) -> None:
        """Note that names in the folder were added or removed.

        The folders above it count too: another process may have made them at this moment, and not yet durably.
        """
        self._changed.update(position[:depth] for depth in range(len(position) + 1))

    def sync(self) -> None:
        """Make every changed folder durable."""
        sync_all([self._opened[position] for position in self._changed])
        self._changed.clear()


@contextmanager
def locked(descriptor: int) -> Iterator[None]:
    """Hold the file's lock against other threads and processes; each needs a descriptor of its own.

    Raises:
        LockHeld: another one holds it, and does not let go.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LockHeld(errno.ETIMEDOUT, f"another process holds a lock there for {_PATIENCE:.0f} s") from None
            time.sleep(_PAUSE)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def sync_all(descriptors: Sequence[int]) -> None:
    """Make files or folders durable, several at the same time: the file system's journal then commits once for many.

    Raises:
        OSError: one of them is not. It is never tried again: the system may have dropped what could not be written.
    """
    if len(descriptors) < 2:
        for descriptor in descriptors:
            os.fsync(descriptor)
        return
    shares = [descriptors[first::_SYNCS] for first in range(min(_SYNCS, len(descriptors)))]
    done = [_syncers().submit(_sync_each, share) for share in shares]
    wait(done)  # all of them, before anybody closes a descriptor
    for future in done:
        future.result()


def _sync_each(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.fsync(descriptor)


@functools.cache
def _syncers() -> ThreadPoolExecutor:
    """The process's own threads for this: making some for every commit costs more than their work."""
    return ThreadPoolExecutor(_SYNCS, thread_name_prefix="fsync")


os.register_at_fork(after_in_child=_syncers.cache_clear)  # a forked child has none of its parent's threads


def copy_bytes(source: int, target: int) -> int:
    """Copy a file's bytes into an empty one, by the kernel (which may share blocks) where it can; how many."""
    copied = 0
    fast = getattr(os, "copy_file_range", None)  # not on macOS
    try:
        while fast and (count := fast(source, target, _AT_ONCE)):
            copied += count
            if count < _AT_ONCE:
                break
    except OSError as error:
        if error.errno not in _NO_FAST_COPY or copied:
            raise
    # Also where the kernel copied: some file systems say "nothing left" of a file that has bytes.
    while block := os.pread(source, _CHUNK, copied):
        write_all(target, block)
        copied += len(block)
    return copied


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``; a single write may be cut short."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def forget_cached(descriptor: int) -> None:
    """Ask the system to drop the file's cached pages, so that a read-back reads what the medium has."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def write_file(folder: int, name: str | bytes, content: bytes) -> None:
    """Write a small file whole or not at all, replacing one that is there; the folder is made durable too."""
    temporary = os.fsdecode(name) + ".new"
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=folder
    )
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as writing:
            writing.write(content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def write_error(archive: str, error: OSError) -> ArchiveError:
    """What a failed write means for the program. Nothing of what was being written is acknowledged."""
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        message = f"{archive}: the folder cannot be written: {error.strerror}"
        return ArchiveReadOnly(message, archive=archive, hint="check its permissions, and how its disk is mounted")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = f"{archive}: no space is left in the folder"
        return ArchiveFull(message, archive=archive, hint="make room there, and run the same command again")
    if isinstance(error, LockHeld):
        message = f"{archive}: {error.strerror}"
        hint = "end the process that writes to the folder and was stopped, or see what its disk does; then run the same"
        return ArchiveError(message, archive=archive, transient=True, hint=f"{hint} command again")
    message = f"{archive}: writing failed: {error.strerror}"
    return ArchiveError(message, archive=archive, hint="look at the disk and its system log before resuming")
