"""A JSON array of objects (RFC 8259), read element by element as it comes: never more in memory than one is allowed."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

_SPACE: Final = " \t\n\r"
_DECODE: Final = json.JSONDecoder().raw_decode


class BadArray(Exception):
    """A body that is no array of objects, whatever may still come, or one with too large an object."""


class UnfinishedArray(Exception):
    """A body that ended before its array did."""


class JsonArray:
    """The objects of the array that ``chunks`` hold in UTF-8. ``largest`` is the most characters of one of them."""

    def __init__(self, chunks: Iterable[bytes], *, largest: int) -> None:
        self._chunks = iter(chunks)
        self._largest = largest
        self._characters = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each object, once.

        Raises:
            BadArray: the body is none, or an object is too large.
            UnfinishedArray: the body ended too early.
        """
        self._take("[")
        if self._next() == "]":
            return
        while True:
            if self._next() != "{":
                raise BadArray("no object")
            yield self._object()
            if self._next() == "]":
                return
            self._take(",")

    def _take(self, sign: str) -> None:
        if self._next() != sign:
            raise BadArray(f"no {sign}")
        self._at += 1

    def _next(self) -> str:
        """The next character that is no space, which stays; space may not go on for ever either."""
        skipped = 0
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
                skipped += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if skipped > self._largest:
                raise BadArray("only space")
            if not self._fill(1):
                raise UnfinishedArray

    def _object(self) -> dict[str, Any]:
        while True:
            there = len(self._text) - self._at
            try:
                value, end = _DECODE(self._text, self._at)
            except json.JSONDecodeError:  # for what is not all there as for what is wrong
                if there > self._largest:
                    raise BadArray("too large an object, or none") from None
                # twice as much before it is tried again, or a large object would be read from its start too often
                if not self._fill(min(2 * there, self._largest + 1)):
                    raise UnfinishedArray from None
            except (ValueError, RecursionError):
                raise BadArray("an object that cannot be read") from None
            else:
                if end - self._at > self._largest:
                    raise BadArray("too large an object")
                self._at = end
                found: dict[str, Any] = value
                return found

    def _fill(self, wanted: int) -> bool:
        """Have ``wanted`` characters ahead, or all there are; whether any came."""
        parts = [self._text[self._at :]]
        before = size = len(parts[0])
        for chunk in self._chunks:
            try:
                parts.append(self._characters.decode(chunk))
            except UnicodeDecodeError:
                raise BadArray("no UTF-8") from None
            size += len(parts[-1])
            if size > before and size >= wanted:
                break
        self._text, self._at = "".join(parts), 0
        return size > before
