"""Ctrl-C and SIGTERM: the first asks the work to stop cleanly, the second stops it at once and still loses nothing."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stoppable(cancel: Callable[[], None]) -> Iterator[None]:
    """Call ``cancel`` at the first Ctrl-C or SIGTERM within.

    Raises:
        KeyboardInterrupt: at the end, when the work has stopped because it was asked to; or at the second Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.stderr.write("\nstopping: what is in flight is finished first; Ctrl-C again stops at once\n")
        cancel()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt
