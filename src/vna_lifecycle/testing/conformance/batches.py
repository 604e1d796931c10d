"""What every archive that imports by asynchronous jobs keeps to."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from attrs import evolve

from vna_lifecycle.model.inventory import Rung
from vna_lifecycle.ports import (
    Archive,
    Batch,
    Done,
    Fetched,
    ImportsInBatches,
    JobToken,
    Receipt,
    Staged,
    StoreFailure,
)
from vna_lifecycle.testing.conformance.case import EXAMPLES, read_files, require_same, study_of, written

_FIRST = EXAMPLES[0]
_STUDY = [spec for spec in EXAMPLES if spec.study_uid == _FIRST.study_uid]
_BATCH = Batch(key="0123abcd", wave="pilot")
_POLLS = 200


class BatchImporterSuite:
    """Subclass it in a test module, with `open_target`, under a name that pytest collects."""

    rung: ClassVar[Rung] = Rung.HASHED
    """How far what comes back is what was given: EQUIVALENT where the archive is known to re-encode."""

    def open_target(self, folder: Path) -> Archive:
        """The archive that belongs to ``folder``: empty at first, and the same one whenever it is opened again."""
        raise NotImplementedError

    def wait(self, seconds: float) -> None:
        """Let that much time pass for the archive's jobs. Override it where time is simulated."""
        time.sleep(seconds)

    def _done(self, imports: ImportsInBatches, token: JobToken) -> Done:
        for _ in range(_POLLS):
            state = imports.poll(token)
            if isinstance(state, Done):
                return state
            assert state.poll_after >= 0
            self.wait(state.poll_after)
        raise AssertionError(f"the job was not done after {_POLLS} polls")

    def _import(self, imports: ImportsInBatches, items: Sequence[Fetched], batch: Batch = _BATCH) -> Done:
        staged = list(imports.stage(batch, study_of(_FIRST), items))
        assert all(isinstance(answer, Staged) for answer in staged)
        return self._done(imports, imports.submit(batch))

    def test_what_is_imported_is_read_back(self, tmp_path: Path) -> None:
        """After its job is done, every instance is listed and comes back with the data set bytes that were given."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        done = self._import(_imports(archive), items)
        assert _uids(done) == sorted(item.record.sop_instance_uid for item in items)
        assert all(isinstance(result, Receipt) for result in done.results)
        require_same(read_files(archive, study_of(_FIRST), tmp_path / "out"), items, self.rung)

    def test_submitting_again_is_the_same_job(self, tmp_path: Path) -> None:
        """However often a batch is submitted, it is one job."""
        imports = _imports(self.open_target(tmp_path))
        list(imports.stage(_BATCH, study_of(_FIRST), written(tmp_path / "in", _STUDY)))
        token = imports.submit(_BATCH)
        assert imports.submit(_BATCH) == token
        self._done(imports, token)
        assert imports.submit(_BATCH) == token

    def test_a_job_outlives_who_submitted_it(self, tmp_path: Path) -> None:
        """Whoever opens the archive again, with the token or only with the batch, follows the same job to its end."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        list(_imports(archive).stage(_BATCH, study_of(_FIRST), items))
        token = _imports(archive).submit(_BATCH)
        archive.reads.close()
        again = self.open_target(tmp_path)
        assert _imports(again).submit(_BATCH) == token
        assert _uids(self._done(_imports(again), token)) == sorted(item.record.sop_instance_uid for item in items)

    def test_done_stays_done(self, tmp_path: Path) -> None:
        """A job that is done gives the same results at every later poll."""
        imports = _imports(self.open_target(tmp_path))
        done = self._import(imports, written(tmp_path / "in", _STUDY))
        again = self._done(imports, imports.submit(_BATCH))
        assert sorted(map(repr, again.results)) == sorted(map(repr, done.results))

    def test_staging_again_is_harmless(self, tmp_path: Path) -> None:
        """The same instances staged twice are in the results once."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        list(_imports(archive).stage(_BATCH, study_of(_FIRST), items))
        done = self._import(_imports(archive), items)
        assert _uids(done) == sorted(item.record.sop_instance_uid for item in items)
        require_same(read_files(archive, study_of(_FIRST), tmp_path / "out"), items, self.rung)

    def test_other_bytes_never_overwrite(self, tmp_path: Path) -> None:
        """Other bytes under a UID that is there are a conflict; what was there stays, and the rest is imported."""
        archive = self.open_target(tmp_path)
        first = written(tmp_path / "first", _STUDY[:1])
        self._import(_imports(archive), first)
        items = written(tmp_path / "in", [evolve(_FIRST, grey=200), *_STUDY[1:]])
        done = self._import(_imports(archive), items, Batch(key="4567cdef", wave="pilot"))
        failures = [result for result in done.results if isinstance(result, StoreFailure)]
        assert [(failure.sop_instance_uid, failure.code) for failure in failures] == [
            (_FIRST.sop_instance_uid, "conflict")
        ]
        assert failures[0].conflict is not None
        require_same(read_files(archive, study_of(_FIRST), tmp_path / "out"), [*first, *items[1:]], self.rung)

    def test_what_is_no_object_does_not_stop_the_rest(self, tmp_path: Path) -> None:
        """A file that was cut off is refused at staging or by the job, by name; the others are imported."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        items[1].path.write_bytes(items[1].path.read_bytes()[:-5])
        imports = _imports(archive)
        answers = list(imports.stage(_BATCH, study_of(_FIRST), items))
        done = self._done(imports, imports.submit(_BATCH))
        told = [*answers, *done.results]
        failed = {answer.sop_instance_uid for answer in told if isinstance(answer, StoreFailure)}
        assert failed == {items[1].record.sop_instance_uid}
        require_same(read_files(archive, study_of(_FIRST), tmp_path / "out"), [items[0], *items[2:]], self.rung)


def _imports(archive: Archive) -> ImportsInBatches:
    assert archive.imports is not None, "the archive does not import in batches"
    return archive.imports


def _uids(done: Done) -> list[str]:
    return sorted(result.sop_instance_uid for result in done.results)
