"""The command line in a process that logs what it gives names in the target, and that dies at a named point.

``python killed_program.py LOG POINT NTH WHEN VERB...``: POINT is ``module:name`` or ``module:Class.name``, or ``-`` for
none. The process kills itself, as ``kill -9`` would, before or after the NTH call of that function.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any


def log_links(log: int) -> None:
    """Write down each object's name that is linked or removed; a line is one write, so it is whole or not there."""
    for name, folder in (("link", "dst_dir_fd"), ("unlink", "dir_fd")):
        real = getattr(os, name)

        def call(
            *args: Any, _real: Callable[..., Any] = real, _name: str = name, _folder: str = folder, **kw: Any
        ) -> Any:
            result = _real(*args, **kw)
            target = os.fsdecode(args[-1])
            if target.endswith(".dcm") and kw.get(_folder) is not None:
                os.write(log, f"{_name} {target}\n".encode())
            return result

        setattr(os, name, call)


def die_at(point: str, nth: int, when: str) -> None:
    """Let this process kill itself before or after the nth call of a function."""
    module, _, path = point.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    real = getattr(owner, name)
    lock, count = threading.Lock(), 0

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        with lock:
            count += 1
            mine = count == nth
        if mine and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, call)


if __name__ == "__main__":
    log_path, point, nth, when, *verb = sys.argv[1:]
    from vna_lifecycle.cli import main

    log_links(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    if point != "-":
        die_at(point, int(nth), when)
    sys.exit(main(verb))
