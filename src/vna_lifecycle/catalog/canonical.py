"""Text as it is stored and as it is hashed: exact for every string that Python can hold."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import Final

_TM: Final = re.compile(r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?", re.ASCII)
_BEYOND_IS: Final = 1 << 31
_BEYOND_SIZE: Final = 1 << 48
_DA: Final = re.compile(r"\d{8}", re.ASCII)


def stored(text: str) -> str | bytes:
    """``text`` as SQLite takes it: bytes where it has lone surrogates (undecodable file names), which UTF-8 has not."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def read(value: str | bytes) -> str:
    """What `stored` was given."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def number(value: int | None) -> int | None:
    """``value``, or None (unknown) where it is beyond any that an object can mean: 2^31 by IS (PS3.5 section 6.2)."""
    return value if value is None or -_BEYOND_IS <= value < _BEYOND_IS else None


def size(value: int | None) -> int | None:
    """A size in bytes, or None where it is negative or beyond any object: sums then fit a database's integers."""
    return value if value is None or 0 <= value < _BEYOND_SIZE else None


def packed(*values: str) -> bytes:
    """Values as bytes from which they could be told apart again (netstrings)."""
    return "".join([f"{len(value)}:{value}" for value in values]).encode("utf-8", "surrogatepass")


def key(*values: str) -> bytes:
    """A short digest by which equal rows are found again."""
    return hashlib.blake2b(packed(*values), digest_size=20).digest()


def day(study_date: str) -> str | None:
    """``study_date`` if it is a day of the calendar in the form of DA (YYYYMMDD, PS3.5 section 6.2), else None."""
    if not _DA.fullmatch(study_date):
        return None
    try:
        dt.date(int(study_date[:4]), int(study_date[4:6]), int(study_date[6:]))
    except ValueError:
        return None
    return study_date


def clock(study_time: str) -> str:
    """A valid TM (PS3.5 section 6.2) at full length, so that text order is time order; ``""`` for anything else."""
    if not _TM.fullmatch(study_time):
        return ""
    whole, _, fraction = study_time.partition(".")
    return f"{whole:0<6}.{fraction:0<6}"


def folded(description: str) -> str:
    """``description`` for comparison without regard to case; what no database text can hold becomes ``?``."""
    return description.casefold().encode("utf-8", "replace").decode().replace("\0", " ")
