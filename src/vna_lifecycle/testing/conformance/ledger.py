"""What every database that keeps a ledger keeps to."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vna_lifecycle.errors import IntegrityError, LeaseLost, UnexpectedSize
from vna_lifecycle.ledger import Draft, Ledger
from vna_lifecycle.model.event import RecordedEvent, WavePaused, WaveResumed


def _drafts(first: int, count: int) -> list[Draft]:
    return [
        Draft(
            event=WavePaused(wave=f"wave-{number}", by="mallory", reason="test"), key=f"key/{number}", actor="mallory"
        )
        for number in range(first, first + count)
    ]


def _events(recorded: Sequence[RecordedEvent]) -> list[tuple[int, str, object]]:
    return [(event.sequence, event.key, event.event) for event in recorded]


class LedgerSuite:
    """Subclass it in a test module, with `open_ledger`, under a name that pytest collects."""

    def open_ledger(self, folder: Path) -> Ledger:
        """The ledger that belongs to ``folder``: empty at first, and the same one whenever it is opened again."""
        raise NotImplementedError

    def test_what_is_appended_is_read_in_order(self, tmp_path: Path) -> None:
        """Events are read back as they were appended, numbered from 0 without a gap."""
        with self.open_ledger(tmp_path) as ledger:
            appended = [*ledger.append(_drafts(0, 3)), *ledger.append(_drafts(3, 2))]
            assert [event.sequence for event in appended] == [0, 1, 2, 3, 4]
            assert list(ledger.read()) == appended
            assert list(ledger.read(1, 3)) == appended[1:3]
            assert ledger.size() == 5

    def test_it_is_there_when_opened_again(self, tmp_path: Path) -> None:
        """What was appended, and the root over it, outlive whoever appended."""
        with self.open_ledger(tmp_path) as ledger:
            appended, root = list(ledger.append(_drafts(0, 3))), ledger.root()
        with self.open_ledger(tmp_path) as ledger:
            assert (list(ledger.read()), ledger.root()) == (appended, root)

    def test_a_key_is_appended_once(self, tmp_path: Path) -> None:
        """A draft whose key is there already yields the recorded event and adds nothing; the others are added."""
        with self.open_ledger(tmp_path) as ledger:
            first = ledger.append(_drafts(0, 2))
            again = ledger.append(_drafts(0, 3))
            assert again[:2] == first
            assert _events(again) == _events(list(ledger.read()))

    def test_a_retry_may_repeat_its_expected_size(self, tmp_path: Path) -> None:
        """After a lost answer the same call is made again, with the size that it expected then."""
        with self.open_ledger(tmp_path) as ledger:
            first = ledger.append(_drafts(0, 2), expected_size=0)
            assert ledger.append(_drafts(0, 2), expected_size=0) == first

    def test_an_outdated_decision_is_refused(self, tmp_path: Path) -> None:
        """A decision that was based on fewer events than there are is refused as a whole, with both sizes."""
        with self.open_ledger(tmp_path) as ledger:
            ledger.append(_drafts(0, 2))
            with pytest.raises(UnexpectedSize) as caught:
                ledger.append(_drafts(2, 2), expected_size=1)
            assert (caught.value.expected, caught.value.actual) == (1, 2)
            assert ledger.size() == 2

    def test_a_key_never_means_two_events(self, tmp_path: Path) -> None:
        """The same key with another event is refused as a whole."""
        with self.open_ledger(tmp_path) as ledger:
            ledger.append(_drafts(0, 1))
            other = Draft(event=WaveResumed(wave="wave-0", by="mallory", reason="test"), key="key/0", actor="mallory")
            with pytest.raises(IntegrityError):
                ledger.append([*_drafts(1, 1), other])
            assert ledger.size() == 1

    def test_a_fenced_coordinator_appends_nothing(self, tmp_path: Path) -> None:
        """Once a newer lease epoch began, effects of the older one are refused; decisions are not."""
        with self.open_ledger(tmp_path) as ledger:
            old = ledger.take_epoch()
            ledger.append(_drafts(0, 1), epoch=old)
            new = ledger.take_epoch()
            with pytest.raises(LeaseLost):
                ledger.append(_drafts(1, 1), epoch=old)
            ledger.append(_drafts(1, 1), epoch=new)
            ledger.append(_drafts(2, 1))
            assert ledger.size() == 3

    def test_an_event_is_found_by_its_key(self, tmp_path: Path) -> None:
        """Any event is found by its key; an unknown key finds nothing."""
        with self.open_ledger(tmp_path) as ledger:
            appended = ledger.append(_drafts(0, 3))
            assert ledger.find("key/1") == appended[1]
            assert ledger.find("key/9") is None

    def test_who_appends_at_the_same_time_is_put_in_a_row(self, tmp_path: Path) -> None:
        """Several who append at once, each through a ledger of its own, lose nothing and leave no gap."""
        self.open_ledger(tmp_path).close()

        def append(number: int) -> None:
            with self.open_ledger(tmp_path) as own:
                for first in range(number * 100, number * 100 + 5):
                    own.append(_drafts(first, 1))

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(append, range(3)))
        with self.open_ledger(tmp_path) as ledger:
            events = list(ledger.read())
            assert [event.sequence for event in events] == list(range(15))
            assert len({event.key for event in events}) == 15
            assert ledger.verify(deep=True).ok

    def test_a_sound_ledger_verifies(self, tmp_path: Path) -> None:
        """An untouched ledger verifies, empty or not, also in depth."""
        with self.open_ledger(tmp_path) as ledger:
            assert ledger.verify(deep=True).ok
            ledger.append(_drafts(0, 9))
            assert ledger.verify(deep=True).ok

    def test_subscribers_keep_their_place(self, tmp_path: Path) -> None:
        """Each subscriber's cursor starts at 0 and outlives whoever moved it."""
        with self.open_ledger(tmp_path) as ledger:
            assert ledger.cursor("tickets") == 0
            ledger.move_cursor("tickets", 7)
        with self.open_ledger(tmp_path) as ledger:
            assert (ledger.cursor("tickets"), ledger.cursor("chat")) == (7, 0)
