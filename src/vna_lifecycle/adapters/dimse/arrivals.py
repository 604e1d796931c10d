"""Objects that an archive sends by itself: kept as they arrive, and found by their SOP Instance UIDs later."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import threading
import time
from pathlib import Path
from typing import Final

from vna_lifecycle.adapters.dimse.wire import Arrival, Offer
from vna_lifecycle.errors import DiskFull, StorageError
from vna_lifecycle.model.inventory import Manifest

_RESERVE: Final = 256 << 20
"""Bytes of the disk that arrivals leave free: the program itself must be able to go on."""


class Arrivals:
    """A folder of objects, each under a name made of the digests of its SOP Instance UID and of its bytes.

    So an object that is sent again is kept once, and other bytes under the same UID are kept beside it. Filled from any
    thread; what an earlier run took is there again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._last = time.monotonic()
        self._found: dict[str, set[Path]] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.suffix == ".dcm":
                self._found.setdefault(path.name[:32], set()).add(path)
            else:
                path.unlink()  # it was on its way when an earlier run ended, and was not acknowledged

    def place(self, offer: Offer) -> Path:
        """A file for whatever comes.

        Raises:
            DiskFull: there is no room; the sender is told so (A700).
        """
        if shutil.disk_usage(self._folder).free < _RESERVE:
            raise DiskFull("the disk has no room for objects that are sent to us")
        return self._folder / f"{next(self._numbers)}.part"

    def take(self, arrival: Arrival) -> int:
        """Keep an object."""
        name = _name(arrival.offer.sop_instance_uid)
        path = self._folder / _file(name, arrival.dataset_sha256)
        arrival.path.replace(path)
        with self._changed:
            self._found.setdefault(name, set()).add(path)
            self._last = time.monotonic()
            self._changed.notify_all()
        return 0

    def lose(self, path: Path, problem: StorageError | None) -> None:
        """Nothing is kept of it: whoever sends it is told, and sends it again."""

    def of(self, sop_instance_uid: str) -> tuple[Path, ...]:
        """What came under this UID: one file for each content."""
        with self._changed:
            return tuple(sorted(self._found.get(_name(sop_instance_uid), ())))

    def all(self) -> list[Path]:
        """What is kept."""
        with self._changed:
            return sorted(path for paths in self._found.values() for path in paths)

    def let_go(self, manifest: Manifest) -> int:
        """Remove what is kept of these instances with these very data sets.

        Raises:
            StorageError: it cannot be removed.
        """
        count = 0
        for entry in manifest.entries:
            name = _name(entry.sop_instance_uid)
            path = self._folder / _file(name, entry.digest.dataset_sha256)
            with self._changed:
                if path not in self._found.get(name, ()):
                    continue
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise StorageError(f"what was moved cannot be removed: {error.strerror}", path=path) from error
                self._found[name].remove(path)
                if not self._found[name]:
                    del self._found[name]
            count += 1
        return count

    def wait(self, seconds: float) -> None:
        """Wait for something to arrive, or for so long."""
        with self._changed:
            self._changed.wait(seconds)

    @property
    def quiet_since(self) -> float:
        """When something arrived last, or this was opened, on the monotonic clock."""
        with self._changed:
            return self._last


def _name(sop_instance_uid: str) -> str:
    return hashlib.sha256(sop_instance_uid.encode()).hexdigest()[:32]


def _file(name: str, dataset_sha256: str) -> str:
    return f"{name}-{dataset_sha256[:32]}.dcm"
