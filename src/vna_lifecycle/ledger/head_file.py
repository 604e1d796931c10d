"""The signed head beside a ledger: what the last clean end left, by which an older or another database is known."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Final

from vna_lifecycle.database import make_entry_durable
from vna_lifecycle.errors import DiskFull, StorageError

_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def read_note(path: Path) -> str:
    """The note that was kept; ``""`` where there is none, of a ledger that never had a clean end."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise StorageError(f"the head file cannot be read ({exc.strerror})", path=path) from exc


def keep_note(path: Path, note: str) -> None:
    """Keep a note durably, whole or not at all. One that is there already is left alone.

    Raises:
        DiskFull: no space is left; the note that was there is as it was.
        StorageError: it cannot be written.
    """
    if read_note(path) == note:
        return
    partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.partial")  # others may do the same
    try:
        try:
            with partial.open("w", encoding="utf-8", newline="\n") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        make_entry_durable(path)
    except OSError as exc:
        kind = DiskFull if exc.errno in _NO_SPACE else StorageError
        raise kind(
            f"the ledger's head cannot be written beside it ({exc.strerror})",
            path=path,
            hint="The ledger itself is whole. Make room or check who owns the directory, and run the command again",
        ) from exc
