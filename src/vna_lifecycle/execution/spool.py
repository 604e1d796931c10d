"""Where fetched objects lie until they are stored: one folder per task, on a disk whose free space is watched."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import shutil
import threading
from pathlib import Path

from vna_lifecycle.errors import DiskFull, StorageError

# Only folders named so are ever removed: a spool that was pointed at somebody's data by mistake destroys nothing.
_TASK_FOLDER = re.compile(r"task-([0-9a-f]{32})-(\d+)")


class SpoolFolder:
    """The spool of one program: hands every task a folder of its own and keeps ``reserve_bytes`` of the disk free.

    Tasks in other threads share one object; worker processes make their own for the same root. What another process
    has promised but not yet written is not counted, so the reserve should exceed the largest object times the number
    of worker processes. Folders are private to the user (mode 0700), since objects hold patient data.
    """

    def __init__(self, root: Path, *, reserve_bytes: int) -> None:
        if reserve_bytes < 0:
            raise ValueError(f"reserve_bytes must not be negative, not {reserve_bytes}")
        self.root = root
        self.reserve_bytes = reserve_bytes
        self._lock = threading.Lock()
        self._promised: dict[Path, tuple[Path, int]] = {}  # a task's folder: the file it writes now, and its size
        _make_folder(root)

    def task(self, label: str, *, attempt: int = 1) -> TaskSpool:
        """An empty folder for one attempt at a task; what earlier attempts left is removed.

        ``label`` may be any text that is unique to the task. The folder's name is made from its digest.

        Raises:
            StorageError: what was left cannot be removed.
        """
        self.discard(label)
        return TaskSpool(self, self.root / f"task-{_digest(label)}-{attempt}")

    def discard(self, label: str) -> None:
        """Remove whatever any attempt at this task left.

        Raises:
            StorageError: it cannot be removed.
        """
        start = f"task-{_digest(label)}-"
        for entry in self._task_folders():
            if entry.name.startswith(start):
                self._remove(entry)

    def room(self) -> int:
        """Bytes that may still be spooled before the reserve is touched; negative when it already is.

        Raises:
            StorageError: the disk does not answer.
        """
        with self._lock:
            return self._room()

    def sweep(self) -> int:
        """Remove what every task of an earlier run left, and return how many folders that were.

        Only the coordinator may call this, at its start, before any task runs.
        """
        folders = self._task_folders()
        for folder in folders:
            self._remove(folder)
        return len(folders)

    def _task_folders(self) -> list[Path]:
        try:
            with os.scandir(self.root) as entries:
                return [
                    Path(entry.path)
                    for entry in entries
                    if _TASK_FOLDER.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
                ]
        except OSError as problem:
            raise _storage_error(problem, self.root) from problem

    def _room(self) -> int:
        try:
            free = shutil.disk_usage(self.root).free
        except OSError as problem:
            raise _storage_error(problem, self.root) from problem
        coming = sum(max(0, size - _size(path)) for path, size in self._promised.values())
        return free - self.reserve_bytes - coming

    def _promise(self, folder: Path, path: Path, size: int) -> None:
        with self._lock:
            self._promised.pop(folder, None)  # a task writes one object after the other: its last one is done
            room = self._room()
            if room < size:
                raise DiskFull(
                    f"the spool has no room for {size:,} bytes: {max(0, room):,} are free above the reserve of "
                    f"{self.reserve_bytes:,}",
                    path=self.root,
                    hint="Free some disk space, move the spool to a larger disk, or run fewer workers; then resume.",
                )
            self._promised[folder] = (path, size)

    def _remove(self, folder: Path) -> None:
        with self._lock:
            self._promised.pop(folder, None)
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            pass  # another process removed it at the same time
        except OSError as problem:
            raise _storage_error(problem, folder) from problem


class TaskSpool:
    """One task's folder; implements `vna_lifecycle.ports.Spool`."""

    def __init__(self, spool: SpoolFolder, folder: Path) -> None:
        self.folder = folder
        self._spool = spool
        self._numbers = itertools.count(1)

    def new_file(self, size: int | None = None) -> Path:
        """A path for one object, not yet existing. ``size`` is how many bytes will come, if known.

        Raises:
            DiskFull: the disk's free space would fall under the reserve, now or once ``size`` bytes are written.
        """
        _make_folder(self.folder)  # only now: archives that are folders themselves fetch nothing into the spool
        path = self.folder / f"{next(self._numbers):06d}.dcm"
        self._spool._promise(self.folder, path, size or 0)
        return path

    def clear(self) -> None:
        """Remove the folder and everything in it: its objects are stored, or the task is given up."""
        self._spool._remove(self.folder)


def _digest(label: str) -> str:
    return hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # not begun
        return 0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise _storage_error(problem, folder) from problem


def _storage_error(problem: OSError, path: Path) -> StorageError:
    hint = "See that the disk is mounted and that this user may write there."
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("no space is left for the spool", path=path, hint="Free some disk space; then resume.")
    return StorageError(f"the spool cannot be used: {problem.strerror}", path=path, hint=hint)
