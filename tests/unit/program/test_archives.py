"""A program's archives are opened once, whoever asks for them, and all are closed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from vna_lifecycle.errors import ArchiveUnreachable
from vna_lifecycle.program.archives import OpenArchives

THREADS = 8


def archive(closed: list[str], name: str, *, fails: bool = False) -> Any:
    def close() -> None:
        closed.append(name)
        if fails:
            raise ArchiveUnreachable("gone meanwhile", archive=name)

    return SimpleNamespace(reads=SimpleNamespace(close=close))


def test_an_archive_is_opened_once_however_many_threads_ask_for_it() -> None:
    opened: list[str] = []
    together = threading.Barrier(THREADS)

    def slow(name: str) -> Any:
        opened.append(name)
        threading.Event().wait(0.05)  # time enough for the others to come
        return archive([], name)

    def ask(_: int) -> Any:
        together.wait()
        return archives.get("old")

    archives = OpenArchives(slow)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(ask, range(THREADS)))
    assert opened == ["old"]
    assert all(each is found[0] for each in found)


def test_an_archive_that_could_not_be_opened_is_tried_again() -> None:
    answers = iter([ArchiveUnreachable("not yet", archive="old"), archive([], "old")])

    def opens(name: str) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    archives = OpenArchives(opens)
    with pytest.raises(ArchiveUnreachable):
        archives.get("old")
    assert archives.get("old") is archives.get("old")


def test_every_archive_is_closed_although_one_fails_to() -> None:
    closed: list[str] = []
    archives = OpenArchives(lambda name: archive(closed, name, fails=name == "b"))
    for name in "abc":
        archives.get(name)
    with pytest.raises(ArchiveUnreachable):
        archives.close()
    assert sorted(closed) == ["a", "b", "c"]
    archives.close()
    assert len(closed) == 3
