"""A guard over a whole test session: what fixtures plant in archives turns up in no log record.

In a ``conftest.py``: import both fixtures.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

PLANTED: Final = re.compile(
    r"CANARY|Doe\^Jane|M\u00fcller\^|\u0160\u0165astn\u00fd\^|\u041b\u044e\u043a\u0441\u0435\u043c|Yamada\^"
    r"|1\.2\.826\.0\.1\.3680043\.10\.(1999|511)\.\d|Zqx[a-z]\d{4}"
)
"""Names and roots of UIDs of the objects that tests make."""

OURS: Final = "vna_lifecycle"


@contextmanager
def watching() -> Iterator[list[str]]:
    """Every log record of this library, and every warning of any, that has something planted in it, while it is made.

    Arguments count although a format may leave them out, and texts of errors that come along.
    """
    leaks: list[str] = []
    plain, logger = logging.getLogRecordFactory(), logging.getLogger(OURS)
    level = logger.level

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)
        if record.name.split(".")[0] == OURS or record.levelno >= logging.WARNING:
            error = record.exc_info[1] if record.exc_info else None
            if PLANTED.search(f"{record.msg} {record.args!r} {error!r}"):
                leaks.append(f"{record.name} at {record.pathname}:{record.lineno}")
        return record

    logging.setLogRecordFactory(made)
    logger.setLevel(logging.DEBUG)
    try:
        yield leaks
    finally:
        logging.setLogRecordFactory(plain)
        logger.setLevel(level)


@pytest.fixture(scope="session")
def planted_in_the_log() -> Iterator[list[str]]:
    """Where something planted was logged since the last test."""
    with watching() as leaks:
        yield leaks


@pytest.fixture(autouse=True)
def nothing_planted_is_logged(planted_in_the_log: list[str]) -> Iterator[None]:
    """Fails the test in which something planted was logged, by any thread."""
    yield
    told = sorted(set(planted_in_the_log))
    planted_in_the_log.clear()
    assert told == [], "identifiers were logged"
