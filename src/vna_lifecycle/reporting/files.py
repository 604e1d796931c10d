"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from vna_lifecycle.database import make_entry_durable
from vna_lifecycle.errors import StorageError


@contextmanager
def replacing(path: Path, *, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Write a text file beside the one that is to be replaced, and put it there only when it is whole and durable.

    Raises:
        StorageError: it cannot be written; what was there is as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            # a lone surrogate, which no encoding knows, has been made visible before; "replace" is the last resort
            with partial.open("w", encoding=encoding, errors="replace", newline="") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            make_entry_durable(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as exc:
        raise StorageError(f"the report cannot be written ({exc.strerror})", path=path) from exc
