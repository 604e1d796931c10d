"""What every archive that is asked for storage commitment keeps to."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path

from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.ports import Archive, CommitsStorage, Done, Fetched, Pending, Receipt, StoreFailure
from vna_lifecycle.testing.conformance.case import EXAMPLES, manifest_of, study_of, written

_FIRST = EXAMPLES[0]
_STUDY = [spec for spec in EXAMPLES if spec.study_uid == _FIRST.study_uid]
_POLLS = 400


class CommitmentSuite:
    """Subclass it in a test module, with `open_target`, under a name that pytest collects."""

    _turns = itertools.count(1)

    def open_target(self, folder: Path) -> Archive:
        """The archive that belongs to ``folder``: empty at first, and the same one whenever it is opened again."""
        raise NotImplementedError

    def wait(self) -> None:
        """Let some time pass until the next look for an answer."""
        time.sleep(0.05)

    def transaction(self) -> str:
        """A Transaction UID that was not used before."""
        return f"2.25.{time.time_ns()}{next(self._turns)}"

    def _done(self, commits: CommitsStorage, transaction: str, manifest: Manifest) -> Done:
        for _ in range(_POLLS):
            state = commits.poll(transaction, manifest)
            if isinstance(state, Done):
                return state
            self.wait()
        raise AssertionError(f"there was no answer after {_POLLS} looks")

    def test_what_was_stored_is_committed_to(self, tmp_path: Path) -> None:
        """Each instance that was stored is a receipt of the answer, once."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        manifest = _stored(archive, items)
        transaction = self.transaction()
        _commits(archive).ask(transaction, manifest)
        done = self._done(_commits(archive), transaction, manifest)
        assert _uids(done) == sorted(item.record.sop_instance_uid for item in items)
        assert all(isinstance(result, Receipt) for result in done.results)

    def test_what_is_not_there_is_refused_by_name(self, tmp_path: Path) -> None:
        """An instance that was never stored fails; the others of the same request are committed to."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        _stored(archive, items[1:])
        manifest, transaction = manifest_of(items), self.transaction()
        _commits(archive).ask(transaction, manifest)
        done = self._done(_commits(archive), transaction, manifest)
        assert _uids(done) == sorted(item.record.sop_instance_uid for item in items)
        failures = [result for result in done.results if isinstance(result, StoreFailure)]
        assert [failure.sop_instance_uid for failure in failures] == [items[0].record.sop_instance_uid]
        assert failures[0].code
        assert failures[0].message

    def test_an_answer_outlives_who_asked(self, tmp_path: Path) -> None:
        """What was answered once is answered alike to whoever opens the archive again."""
        archive = self.open_target(tmp_path)
        manifest = _stored(archive, written(tmp_path / "in", _STUDY))
        transaction = self.transaction()
        _commits(archive).ask(transaction, manifest)
        done = self._done(_commits(archive), transaction, manifest)
        archive.reads.close()
        again = self._done(_commits(self.open_target(tmp_path)), transaction, manifest)
        assert sorted(map(repr, again.results)) == sorted(map(repr, done.results))

    def test_what_nobody_asked_for_is_not_answered(self, tmp_path: Path) -> None:
        """The answer to one request is none to another."""
        archive = self.open_target(tmp_path)
        manifest = _stored(archive, written(tmp_path / "in", _STUDY))
        transaction = self.transaction()
        _commits(archive).ask(transaction, manifest)
        self._done(_commits(archive), transaction, manifest)
        assert isinstance(_commits(archive).poll(self.transaction(), manifest), Pending)

    def test_patience_is_finite(self, tmp_path: Path) -> None:
        """There is a time after which a request counts as unanswered."""
        assert 0 < _commits(self.open_target(tmp_path)).patience < float("inf")


def _stored(archive: Archive, items: Sequence[Fetched]) -> Manifest:
    assert archive.stores is not None, "the archive cannot be written"
    answers = list(archive.stores.store(study_of(_FIRST), items))
    assert all(isinstance(answer, Receipt) for answer in answers)
    return manifest_of(items)


def _commits(archive: Archive) -> CommitsStorage:
    assert archive.commits is not None, "the archive is not asked for storage commitment"
    return archive.commits


def _uids(done: Done) -> list[str]:
    return sorted(result.sop_instance_uid for result in done.results)
