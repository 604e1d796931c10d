"""Objects that an archive sends by itself: what a crash leaves, what a full disk refuses, and when silence begins."""

from __future__ import annotations

import shutil
import time
from collections import namedtuple
from pathlib import Path

import pytest

from vna_lifecycle.adapters.dimse.arrivals import _RESERVE, Arrivals
from vna_lifecycle.adapters.dimse.wire import Arrival, Offer
from vna_lifecycle.errors import DiskFull

Usage = namedtuple("Usage", "total used free")
OFFER = Offer(
    calling="PACS",
    called="US",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    sop_instance_uid="1.2.3",
    transfer_syntax="1.2.840.10008.1.2",
)


class Digested:
    def __init__(self, text: str) -> None:
        self._text = text

    def hexdigest(self) -> str:
        return self._text


def arrive(arrivals: Arrivals, digest: str) -> None:
    path = arrivals.place(OFFER)
    path.write_text(digest)
    assert arrivals.take(Arrival(offer=OFFER, path=path, size=1, dataset_size=1, digest=Digested(digest))) == 0


def test_what_was_acknowledged_is_there_again_and_what_was_on_its_way_is_gone(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path)
    arrive(arrivals, "a" * 64)
    arrive(arrivals, "b" * 64)
    arrive(arrivals, "a" * 64)
    arrivals.place(OFFER).write_text("half")
    kept = arrivals.of("1.2.3")
    assert sorted(path.read_text() for path in kept) == ["a" * 64, "b" * 64]
    assert Arrivals(tmp_path).of("1.2.3") == kept
    assert sorted(tmp_path.iterdir()) == sorted(kept)


@pytest.mark.parametrize(("free", "taken"), [(_RESERVE, True), (_RESERVE - 1, False)])
def test_a_disk_without_room_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, taken: bool
) -> None:
    """The program itself must be able to go on."""
    arrivals = Arrivals(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free, 0, free))
    if taken:
        assert arrivals.place(OFFER).parent == tmp_path
    else:
        with pytest.raises(DiskFull):
            arrivals.place(OFFER)


def test_silence_begins_with_the_last_object(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path)
    opened = arrivals.quiet_since
    before = time.monotonic()
    arrive(arrivals, "a" * 64)
    assert opened <= before <= arrivals.quiet_since
