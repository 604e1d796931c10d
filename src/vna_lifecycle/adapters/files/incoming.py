"""Where one store call's files lie before they have a name, and what a crash leaves of them.

A file keeps its place here until the object is in its study's manifest and index, so a second link to it tells the next
writer that a crash came between the two.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vna_lifecycle.adapters.files.layout import INCOMING


@contextmanager
def incoming_folder(root: Path) -> Iterator[Path]:
    """A new folder for one call, locked as long as it is in use, and removed at the end."""
    parent = root / INCOMING
    parent.mkdir(exist_ok=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix="", dir=parent))
        # Until it is locked, a sweep may take it for an abandoned one.
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if folder.exists():
            break
        os.close(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def _if_abandoned(folder: Path) -> Iterator[bool]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def abandoned(root: Path) -> Iterator[Path]:
    """What dead calls left: each file that already has its name in the store; the rest is removed.

    A file is removed once the caller asks for the next one.
    """
    parent = root / INCOMING
    if not parent.is_dir():
        return
    for folder in sorted(parent.iterdir()):
        with _if_abandoned(folder) as mine:
            if not mine:
                continue
            for file in sorted(folder.iterdir()):
                if file.stat().st_nlink > 1:
                    yield file
                file.unlink()
            folder.rmdir()
