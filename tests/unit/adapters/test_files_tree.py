"""Walking a tree and addressing what is in it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_lifecycle.adapters.files.parts import cut, range_of
from vna_lifecycle.adapters.files.tree import Position, Tree, locator_of, position_of
from vna_lifecycle.errors import ArchiveError, ArchiveUnreachable
from vna_lifecycle.ports import Part

_names = st.binary(min_size=1, max_size=6).filter(lambda name: name not in (b".", b"..") and not {0, 47} & set(name))
_positions = st.lists(_names, min_size=1, max_size=4).map(tuple)


@given(_positions)
def test_every_name_survives_as_a_locator(position: Position) -> None:
    locator = locator_of(position)
    assert position_of(locator) == position
    assert locator.encode("utf-8").decode("utf-8") == locator
    assert locator.isprintable() or not any(ord(character) < 32 for character in locator)


@given(_positions, _positions)
def test_different_places_have_different_locators(one: Position, other: Position) -> None:
    assert (locator_of(one) == locator_of(other)) == (one == other)


@pytest.mark.parametrize(
    "locator",
    [
        "", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a/.", "a\0b", "%2E%2E/x", "a%2Fb", "a%00b",
        "%41", "a\nb", "\udcff", "a/", "%", "%GG",
    ],
)  # fmt: skip
def test_what_could_lead_out_is_no_locator(locator: str) -> None:
    with pytest.raises(ValueError, match="locator"):
        position_of(locator)


_trees = st.sets(st.lists(st.sampled_from([b"a", b"b", b"a.x", b"\xff", b"c"]), min_size=1, max_size=3).map(tuple))


def _make(root: Path, files: set[Position]) -> list[Position]:
    """Make the files, but those that are in the way of one another; what there is then, in order."""
    made = []
    for position in sorted(files, key=lambda position: (-len(position), position)):
        path = Path(os.fsdecode(b"/".join((os.fsencode(root), *position))))
        with suppress(FileExistsError, NotADirectoryError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False)
            made.append(position)
    return sorted(made)


@settings(max_examples=60)
@given(files=_trees, limit=st.integers(1, 4))
def test_parts_cover_the_walk_without_gap_or_overlap(files: set[Position], limit: int) -> None:
    with TemporaryDirectory() as folder:
        made = _make(Path(folder), files)
        tree = Tree(Path(folder), archive="export")
        assert [entry.position for entry in tree.walk()] == made
        parts = list(cut(((entry.position, 1) for entry in tree.walk()), limit=limit, kind="files"))
        pieces = [[entry.position for entry in tree.walk(*range_of(part))] for part in parts]
        assert [position for piece in pieces for position in piece] == made
        assert all(0 < len(piece) <= limit for piece in pieces)


@settings(max_examples=60)
@given(files=_trees, later=_trees)
def test_parts_also_hold_what_came_after_they_were_cut(files: set[Position], later: set[Position]) -> None:
    with TemporaryDirectory() as folder:
        _make(Path(folder), files)
        tree = Tree(Path(folder), archive="export")
        parts = list(cut(((entry.position, 1) for entry in tree.walk()), limit=2, kind="files"))
        _make(Path(folder), later)
        everything = [entry.position for entry in tree.walk()]
        pieces = [entry.position for part in parts for entry in tree.walk(*range_of(part))]
        assert pieces == (everything if parts else [])


@pytest.mark.parametrize("key", ["", "a", "../x\n", "\n/etc"])
def test_a_part_of_another_archive_is_refused(key: str) -> None:
    with pytest.raises(ArchiveError, match="not issued"):
        range_of(Part(key=key))


def test_a_symbolic_link_is_told_of_and_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    root.mkdir()
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "file").symlink_to(tmp_path / "outside" / "secret")
    tree = Tree(root, archive="export")
    assert [(entry.position, entry.trouble) for entry in tree.walk()] == [
        ((b"file",), "symbolic-link"),
        ((b"folder",), "symbolic-link"),
    ]
    for locator in ("file", "folder/secret"):
        with pytest.raises(ValueError, match=r"no (regular file|folder)"):
            tree.find(locator)


def test_a_device_or_pipe_is_told_of_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    tree = Tree(tmp_path, archive="export")
    assert [entry.trouble for entry in tree.walk()] == ["special-file"]
    with pytest.raises(ValueError, match="no regular file"):
        tree.find("pipe")


def test_an_unreadable_folder_is_told_of_and_the_walk_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    scandir = os.scandir

    def refusing(path: bytes) -> object:
        if path.endswith(b"/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    entries = list(Tree(tmp_path, archive="export").walk())
    assert [(entry.position, entry.trouble) for entry in entries] == [
        ((b"a", b"file"), ""),
        ((b"b",), "unreadable-folder"),
        ((b"c", b"file"), ""),
    ]


def test_a_root_that_was_replaced_is_unreachable(tmp_path: Path) -> None:
    root = tmp_path / "mount"
    root.mkdir()
    tree = Tree(root, archive="export")
    root.rename(tmp_path / "gone")
    with pytest.raises(ArchiveUnreachable):
        tree.check()
    root.mkdir()  # an empty mount point is not the archive
    with pytest.raises(ArchiveUnreachable, match="replaced"):
        list(tree.walk())


def test_a_very_deep_tree_is_walked(tmp_path: Path) -> None:
    path = tmp_path
    for _ in range(900):
        path = path / "d"
        path.mkdir()
    (path / "file").touch()
    (entry,) = Tree(tmp_path, archive="export").walk()
    assert len(entry.position) == 901
