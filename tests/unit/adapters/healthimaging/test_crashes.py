"""A crash at any request, before it was sent or before its answer was read, leads to one import of each file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.httpsession
import pytest
from attrs import define

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Server
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.ports import Batch, Done, Fetched, Receipt, Staged
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.healthimaging import Timing
from vna_lifecycle.testing.objects import ObjectSpec

# a process that dies closes no connection; within one process, that is a warning
IGNORED = "ignore:.*:pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings(IGNORED)]

SPECS = [ObjectSpec(instance=number, grey=number) for number in (1, 2)]
BATCH = Batch(key="b", wave="w")
ALL = 40  # more requests than an import makes
SAMPLE = (2, 5, 7, 9, 12)  # in it: the uploads, the records, the start of the job, the note of it


OURS = ("MainThread", "s3", "healthimaging")


class Crash(BaseException):
    """The process ends here."""


@define
class Wire:
    """Counts requests of every client, and crashes at one of them."""

    at: int
    answered: bool
    count: int = 0

    def pass_on(self, send: Callable[..., Any], session: Any, request: Any) -> Any:
        if not threading.current_thread().name.startswith(OURS):
            return send(session, request)  # the fake's own
        self.count += 1
        if self.count > self.at or (self.count == self.at and not self.answered):
            raise Crash  # a dead process sends nothing more
        answer = send(session, request)
        if self.count == self.at:
            raise Crash
        return answer


@contextmanager
def crashing(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    send = botocore.httpsession.URLLib3Session.send
    with monkeypatch.context() as patched:
        patched.setattr(
            botocore.httpsession.URLLib3Session, "send", lambda self, request: wire.pass_on(send, self, request)
        )
        yield


def run(place: Place, server: Server, folder: Path, items: list[Fetched]) -> Done:
    """As the engine does it: stage, submit, poll until it is done."""
    archive = open_archive(settings_of(place, server, concurrency=1), site_of(folder, place), pause=place.clock.advance)
    assert archive.imports is not None
    answers = list(archive.imports.stage(BATCH, study_of(SPECS[0]), items))
    assert all(isinstance(answer, Staged) for answer in answers)
    token = archive.imports.submit(BATCH)
    for _ in range(100):
        state = archive.imports.poll(token)
        if isinstance(state, Done):
            return state
        place.clock.advance(state.poll_after)
    raise AssertionError("the job is not done")


def crash_and_come_back(
    place: Place, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, wire: Wire
) -> bool:
    """Whether there was a crash."""
    items = written(folder / "in", SPECS)
    with crashing(wire, monkeypatch):
        try:
            run(place, server, folder / "first", items)
            crashed = False
        except Crash:
            crashed = True
    place.clock.advance(7)
    done = run(place, server, folder / "second", items)
    assert sorted(result.sop_instance_uid for result in done.results) == [spec.sop_instance_uid for spec in SPECS]
    assert all(isinstance(result, Receipt) for result in done.results)
    assert len(place.store.jobs) == 1
    held = [uid for found in place.store.present() for uid in found.latest.instances]
    assert sorted(held) == [spec.sop_instance_uid for spec in SPECS]
    return crashed


@pytest.mark.parametrize("answered", [False, True], ids=["not-sent", "not-answered"])
@pytest.mark.parametrize("at", SAMPLE)
def test_a_crash_leads_to_one_job_and_one_import_each(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    answered: bool,
) -> None:
    place = make_place(timing=Timing(running=30))
    assert crash_and_come_back(place, seaweed, tmp_path, monkeypatch, Wire(at, answered))


@pytest.mark.soak
@pytest.mark.parametrize("answered", [False, True], ids=["not-sent", "not-answered"])
def test_a_crash_at_every_request_leads_to_one_job_and_one_import_each(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answered: bool,
) -> None:
    crashes = [
        crash_and_come_back(
            make_place(timing=Timing(running=30)), seaweed, tmp_path / str(at), monkeypatch, Wire(at, answered)
        )
        for at in range(1, ALL)
    ]
    assert crashes.index(False) > 15
    assert crashes == sorted(crashes, reverse=True)
