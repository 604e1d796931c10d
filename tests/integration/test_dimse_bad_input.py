"""What a PACS, a network or a disk can do to a program, by the command line: a named error in time, and nothing lost.

Each is met twice: by an inventory that begins with it, and in the middle of a wave. Once it is over, the same command
goes on.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from peers.hasty import haste
from peers.misbehaving_program import GIGANTIC, PER_STUDY, STUDIES, Case, Trial, command, source, target
from peers.scripted_dicom import Authority, server_tls
from peers.small_disk import SmallDisk, small_disk
from vna_lifecycle.adapters.dimse.reception import SYNTAXES
from vna_lifecycle.ledger import Ledger
from vna_lifecycle.model.event import Event, StudyFailed
from vna_lifecycle.program.bench import utc_now
from vna_lifecycle.testing.misbehaving_pacs import EVERYTHING, Disturbance, Faults
from vna_lifecycle.testing.misbehaving_pacs.pdu import ASSOCIATE_RJ, pdu

__all__ = ["haste", "small_disk"]

pytestmark = pytest.mark.timeout(120)  # every wait here has its limit; nothing hangs

MEBIBYTE = 1 << 20
FOR_EVER = 10**6


def instead(data: bytes, *, place: int = 1, hold: bool = False, times: int = FOR_EVER) -> Faults:
    """Something else comes in place of a PDU of each association."""
    return Faults(disturbance=Disturbance(pdu=place, instead=data, hold=hold, times=times))


@frozen(kw_only=True)
class Bad:
    """What comes, how it is told, and whether it may pass by itself; ``midway`` is how a wave tells it, if not so."""

    faults: Faults
    words: str
    midway: str = ""
    kind: str = "ArchiveError"
    transient: bool = False


def rejected(result: int, origin: int, reason: int, words: str) -> Bad:
    passing = result == 2 or origin == 3
    return Bad(faults=Faults(reject=(result, origin, reason)), words=words, kind="ArchiveRefused", transient=passing)


REJECTIONS = {
    "wrong-called-title": rejected(1, 1, 7, "called AE title"),
    "wrong-calling-title": rejected(1, 1, 3, "calling AE title"),
    "no-reason": rejected(1, 1, 1, "no reason was given"),
    "another-application-context": rejected(1, 1, 2, "application context"),
    "acse-no-reason": rejected(1, 2, 1, "no reason was given"),
    "protocol-version": rejected(1, 2, 2, "protocol version"),
    "congested": rejected(2, 3, 1, "congested"),
    "local-limit": rejected(2, 3, 2, "local limit exceeded"),
    "reserved-reason": rejected(1, 1, 9, "which DICOM reserves"),
}
BAD = {
    "no-common-context": Bad(
        faults=Faults(unwilling=EVERYTHING),
        words="none of the 1 presentation contexts",  # of a C-ECHO
        midway=f"none of the {1 + len(SYNTAXES)} presentation contexts",  # of a C-GET for CT images
        kind="ArchiveRefused",
    ),
    "http": Bad(faults=instead(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(64)), words="DICOM protocol"),
    "gigantic-header": Bad(faults=instead(GIGANTIC), words="length of 4,294,967,295 bytes"),
    "gigantic-and-sent": Bad(
        faults=instead(pdu(2, b"", length=0xFFFFFFF0) + bytes(8 * MEBIBYTE)), words="length of 4,294,967,280 bytes"
    ),
    "silence": Bad(faults=instead(b"", hold=True), words="did not answer in time", transient=True),
    "half-a-header": Bad(
        faults=instead(b"\x02\x00", hold=True), words="stopped in the middle of a PDU", transient=True
    ),
    "slow-loris": Bad(faults=Faults(drip=0.2), words="stopped in the middle of a PDU", transient=True),
}
QUICK_LIMITS = (
    ("connect_timeout = 3.0", "connect_timeout = 0.7"),
    ("answer_timeout = 3.0", "answer_timeout = 0.7"),
    ("stall_timeout = 3.0", "stall_timeout = 0.7"),
)


IN_THE_MIDDLE = ("wrong-calling-title", "http")


def told(code: int, answer: Mapping[str, Any], bad: Bad) -> None:
    """The error names the archive, the trouble, and what to do."""
    assert code == 3, answer
    error = answer["error"]
    assert bad.words in error["message"]
    assert (error["type"], error["archive"], error["transient"]) == (bad.kind, "pacs", bad.transient)
    assert error["hint"]


def test_each_reason_of_a_rejection_is_told_in_words(tmp_path: Path) -> None:
    """PS3.8 9.3.4: wrong AE titles, too many associations, and all the others."""
    with Trial(source("bad", Faults()), tmp_path / "program") as trial:
        trial.plan(("attempts = 2", "attempts = 1"))
        for bad in REJECTIONS.values():
            trial.pacs.faults = bad.faults
            told(*command("inventory", folder=trial.folder), bad)
        trial.pacs.faults = Faults()
        assert command("inventory", folder=trial.folder)[0] == 0


@pytest.mark.parametrize("name", BAD)
def test_what_an_archive_does_from_the_beginning_is_named_and_forgotten_once_it_is_over(
    tmp_path: Path, name: str
) -> None:
    """By an inventory; hardly any memory is taken for it."""
    bad = BAD[name]
    with Trial(source("bad", Faults()), tmp_path / "program") as trial:
        trial.plan(*QUICK_LIMITS)
        trial.pacs.faults = bad.faults
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        code, answer = command("inventory", folder=trial.folder)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024
        told(code, answer, bad)
        trial.pacs.faults = Faults()
        assert command("inventory", folder=trial.folder)[0] == 0


def in_the_middle(trial: Trial, bad: Faults, *edits: tuple[str, str]) -> tuple[int, dict[str, Any]]:
    """A transfer whose archive goes bad when the second study is asked for, or the second object stored."""
    trial.plan(*edits, ("workers = 2", "workers = 1"))
    honest, seen = trial.pacs.note, 0

    def note(what: str) -> None:
        nonlocal seen
        honest(what)
        seen += what.startswith(("C-GET", "C-STORE"))
        if seen == 2:
            trial.pacs.faults = bad

    trial.pacs.note = note  # type: ignore[method-assign]
    answer = command("transfer", folder=trial.folder)
    trial.pacs.note = honest  # type: ignore[method-assign]
    trial.pacs.faults = Faults()
    return answer


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in IN_THE_MIDDLE else pytest.mark.soak) for name in [*REJECTIONS, *BAD]],
)
def test_what_an_archive_does_in_the_middle_of_a_wave_stops_it_by_name_and_the_same_command_goes_on(
    tmp_path: Path, name: str
) -> None:
    """At once where it will not pass, after some rests where it may; no study is lost or blamed for it."""
    bad = (REJECTIONS | BAD)[name]
    with Trial(source("bad", Faults(), retrieve="get"), tmp_path / "program") as trial:
        told(*in_the_middle(trial, bad.faults, *QUICK_LIMITS), evolve(bad, words=bad.midway or bad.words))
        outcome = trial.outcome()
        assert set(outcome.states) <= {"planned", "failed", "transferred"}
        assert 0 < outcome.states["transferred"] < STUDIES
        assert outcome.findings == {}
        assert command("transfer", folder=trial.folder)[0] == 0
        assert trial.outcome().states == {"transferred": STUDIES}


def events(trial: Trial) -> list[Event]:
    with Ledger.open(trial.folder / "ledger.db", clock=utc_now, read_only=True) as ledger:
        return [each.event for each in ledger.read()]


@pytest.mark.parametrize("side", [source, target], ids=["source", "target"])
def test_an_archive_that_is_busy_for_a_while_is_asked_again_ever_later(
    tmp_path: Path, side: Callable[..., Case]
) -> None:
    """Each attempt is on record with the time of the next; in the end the wave is complete."""
    busy = instead(pdu(ASSOCIATE_RJ, bytes((0, 2, 3, 2))), times=5)
    with Trial(side("busy", Faults(), retrieve="get"), tmp_path / "program") as trial:
        assert in_the_middle(trial, busy, ("attempts = 2", "attempts = 1"))[0] == 0
        assert trial.outcome().states == {"transferred": STUDIES}
        failed = [event for event in events(trial) if isinstance(event, StudyFailed)]
        assert failed
        assert all(event.transient and event.retry_at for event in failed)
        assert {event.code for event in failed} == {"archive-trouble"}


def test_a_host_that_nobody_listens_at_is_named_and_found_again(tmp_path: Path) -> None:
    with Trial(source("away", Faults()), tmp_path / "program") as trial:
        trial.plan()
        trial.pacs.close()
        bad = Bad(faults=Faults(), words="cannot be reached", kind="ArchiveUnreachable", transient=True)
        for verb in ("inventory", "transfer"):
            told(*command(verb, folder=trial.folder), bad)
        trial.begin()
        assert command("inventory", folder=trial.folder)[0] == 0
        assert command("transfer", folder=trial.folder)[0] == 0
        assert trial.outcome().states == {"transferred": STUDIES}


@pytest.mark.parametrize("theirs", [True, False], ids=["they-speak-tls", "we-speak-tls"])
def test_tls_on_one_side_only_is_named(tmp_path: Path, theirs: bool) -> None:
    authority = Authority(tmp_path)
    with Trial(source("tls", Faults(), retrieve="get"), tmp_path / "program") as trial:
        trial.plan(*QUICK_LIMITS)
        config = trial.folder / "program.toml"
        plain = config.read_text()
        if theirs:
            trial.tls = server_tls(authority.issue("theirs"))
            trial.begin()
        else:
            options = f'ae_title = "PACS"\ntls = true\ntls_ca = "{authority.certificate}"'
            config.write_text(plain.replace('ae_title = "PACS"', options, 1))
        code, answer = command("inventory", folder=trial.folder)
        assert code == 3, answer
        assert answer["error"]["archive"] == "pacs"
        assert "TLS" in answer["error"]["message"] + answer["error"]["hint"]
        config.write_text(plain)
        trial.tls = None
        trial.begin()
        assert command("transfer", folder=trial.folder)[0] == 0
        assert trial.outcome().states == {"transferred": STUDIES}


@pytest.mark.parametrize("retrieve", ["move", "get"])
def test_a_full_spool_disk_ends_with_4_and_the_same_command_goes_on_once_there_is_room(
    tmp_path: Path, small_disk: SmallDisk, retrieve: str
) -> None:
    """The archive is told that there is no room; nothing half written is stored, and no worker asks on and on."""
    with Trial(source("full", Faults(), retrieve=retrieve), tmp_path / "program") as trial:
        trial.plan()
        spool = trial.folder / "spool"
        shutil.rmtree(spool, ignore_errors=True)
        spool.symlink_to(small_disk.folder)
        small_disk.grow(4 * PER_STUDY - 4)  # an object takes a page: one of a study lacks room
        for _ in range(2):  # no room, and still none
            code, answer = command("transfer", folder=trial.folder)
            assert (code, answer["error"]["type"]) == (4, "DiskFull"), answer
            assert answer["error"]["hint"]
            outcome = trial.outcome()
            assert (set(outcome.states), outcome.findings, outcome.objects) == ({"planned"}, {}, {})
        small_disk.grow(640)
        assert command("transfer", folder=trial.folder)[0] == 0
        assert trial.outcome().states == {"transferred": STUDIES}
        assert list(small_disk.folder.iterdir()) == []
