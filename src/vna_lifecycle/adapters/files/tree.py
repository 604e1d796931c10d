"""A folder tree: walked in a stable order, and addressed by locators that cannot lead out of it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from attrs import frozen

from vna_lifecycle.errors import ArchiveUnreachable

Position: TypeAlias = tuple[bytes, ...]
"""A place in the tree by its names below the root; tuple order is the order of the walk."""

# What cannot stand in a locator as it is: bytes that are no UTF-8, control characters, and the escape itself.
_ESCAPED: Final = re.compile("[\x00-\x1f%\x7f\udc80-\udcff]")
_NOWHERE: Final = frozenset((b"", b".", b".."))
_UNESCAPED: Final = re.compile("[ -$&-~]*")


@frozen(kw_only=True)
class Entry:
    """A file, or something else in its place: then ``trouble`` is a code, and ``reason`` says what it is."""

    position: Position
    trouble: str = ""
    reason: str = ""


@frozen(kw_only=True)
class Place:
    """A regular file under the root, reached without following any symbolic link."""

    path: Path
    size: int


def locator_of(position: Position) -> str:
    """A path relative to the root, percent-encoded where its bytes are no UTF-8 or control characters."""
    text = b"/".join(position).decode("utf-8", "surrogateescape")
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", text)


def position_of(locator: str) -> Position:
    """The inverse of `locator_of`.

    Raises:
        ValueError: the text is no locator that `locator_of` could have made of a place under the root.
    """
    plain = _UNESCAPED.fullmatch(locator) is not None  # as most are: then there is only one way to write them
    try:
        position = tuple((locator.encode() if plain else unquote_to_bytes(locator)).split(b"/"))
    except UnicodeEncodeError:
        raise ValueError("a locator holds no lone surrogates") from None
    if not _NOWHERE.isdisjoint(position) or (not plain and not _written(position, locator)):
        raise ValueError("this is no locator of a place under the root")
    return position


def _written(position: Position, locator: str) -> bool:
    return not any(b"\0" in name for name in position) and locator_of(position) == locator


class Tree:
    """The tree under one root, which is checked to be the same folder at every use."""

    def __init__(self, root: Path, *, archive: str) -> None:
        """Take the folder as it is now.

        Raises:
            ArchiveUnreachable: it is not there, is no folder, or cannot be entered.
        """
        self.archive = archive
        self.root = Path(os.path.realpath(root))
        self._prefix = os.fsencode(self.root).rstrip(b"/")
        self._identity = self._look()

    def check(self) -> None:
        """See that the root is still the folder that was opened: a disk that was unmounted leaves an empty one.

        Raises:
            ArchiveUnreachable: it is not.
        """
        if self._look() != self._identity:
            raise self._unreachable("the archive's folder was replaced by another one")

    def _look(self) -> tuple[int, int]:
        try:
            found = self.root.stat()
        except OSError as error:
            raise self._unreachable(f"the archive's folder cannot be reached: {error.strerror}") from None
        if not stat.S_ISDIR(found.st_mode):
            raise self._unreachable("the archive's path is no folder")
        return found.st_dev, found.st_ino

    def _unreachable(self, message: str) -> ArchiveUnreachable:
        hint = "create the folder, or mount the disk that holds it"
        return ArchiveUnreachable(f"{self.archive}: {message}", archive=self.archive, transient=True, hint=hint)

    def path(self, position: Position) -> Path:
        """Where ``position`` is on this machine."""
        return Path(os.fsdecode(b"/".join((self._prefix, *position)))) if position else self.root

    def find(self, locator: str, folders_seen: set[bytes] | None = None) -> Place:
        """The regular file that a locator names.

        ``folders_seen`` remembers, for whoever finds many at a time, which folders were looked at.

        Raises:
            ValueError: the locator leads out of the root, through a symbolic link, or to no regular file.
            OSError: it cannot be looked at.
        """
        *folders, name = position_of(locator)
        path = self._prefix  # as bytes: objects for each step would cost more than looking at it
        for folder in folders:
            path += b"/" + folder
            if folders_seen is not None and path in folders_seen:
                continue
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise ValueError("the locator leads through something that is no folder")
            if folders_seen is not None:
                folders_seen.add(path)
        path += b"/" + name
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("the locator names something that is no regular file")
        return Place(path=Path(os.fsdecode(path)), size=found.st_size)

    def walk(self, start: Position = (), end: Position | None = None, *, below: Position = ()) -> Iterator[Entry]:
        """Everything from ``start`` up to, not including, ``end``, in order; one folder's names are held at a time.

        Raises:
            ArchiveUnreachable: the root went away.
        """
        self.check()
        levels = [self._listing(below)]
        while levels:
            item = next(levels[-1], None)
            if item is None:
                levels.pop()
                continue
            position, mode = item.position, item.mode
            if end is not None and position >= end:
                return
            if stat.S_ISDIR(mode):
                if position >= start[: len(position)]:
                    levels.append(self._listing(position))
            elif position >= start:
                yield self._entry(item)

    def _listing(self, folder: Position) -> Iterator[_Item]:
        items: list[_Item] = []
        try:
            with os.scandir(os.fsencode(self.path(folder))) as found:
                items.extend(_Item(position=(*folder, entry.name), mode=_mode(entry)) for entry in found)
        except OSError as error:
            self.check()
            if not folder:
                raise self._unreachable(f"the archive's folder cannot be listed: {error.strerror}") from None
            reason = error.strerror or "the folder cannot be read"
            items.append(_Item(position=folder, mode=0, trouble="unreadable-folder", reason=reason))
        items.sort(key=lambda item: item.position)
        return iter(items)

    def _entry(self, item: _Item) -> Entry:
        if item.trouble or stat.S_ISREG(item.mode):
            return Entry(position=item.position, trouble=item.trouble, reason=item.reason)
        if stat.S_ISLNK(item.mode):
            reason = "a symbolic link, which is not followed: what it points to may lie outside or be listed twice"
            return Entry(position=item.position, trouble="symbolic-link", reason=reason)
        reason = "a device, socket or named pipe, which is never opened"
        return Entry(position=item.position, trouble="special-file", reason=reason)


@frozen(kw_only=True)
class _Item:
    position: Position
    mode: int
    trouble: str = ""
    reason: str = ""


def _mode(entry: os.DirEntry[bytes]) -> int:
    """The kind of an entry, from the listing itself where the file system tells it there."""
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    return stat.S_IFIFO
