"""A file system of a test's own that is small, and can be full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A file system of its own, whose size can be changed."""

    def __init__(self, folder: Path, kibibytes: int) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount(f"size={kibibytes}k", "vna-small")

    def grow(self, kibibytes: int) -> None:
        self._mount(f"remount,size={kibibytes}k")

    def fill(self) -> None:
        """Take all the space that is left."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            for size in (4096, 1):
                try:
                    while filler.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def give(self, kibibytes: int) -> None:
        """Free some of the space that `fill` took."""
        os.truncate(self.folder / "filler", (self.folder / "filler").stat().st_size - kibibytes * 1024)

    def drain(self) -> None:
        (self.folder / "filler").unlink()

    def remove(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def _mount(self, options: str, *source: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, *(source or ("tmpfs",)), str(self.folder)]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    try:
        disk = SmallDisk(tmp_path / "disk", 640)
    except (OSError, subprocess.CalledProcessError):
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("a file system of its own can only be mounted by root")
    yield disk
    disk.remove()
