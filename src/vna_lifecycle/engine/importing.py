"""What a worker does for a target that imports by jobs: stage a study, submit a batch, ask for its answer.

As `tasks`: no memory, no record, harmless when repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

from vna_lifecycle.engine.tasks import Workbench, size_of
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.ports import Batch, Done, Fetched, ImportsInBatches, JobToken, Pending, Staged, StoreFailure


def stage_study(
    bench: Workbench, study: StudyRef, target: str, shares: Sequence[tuple[Batch, Sequence[Fetched]]]
) -> tuple[StoreFailure, ...] | None:
    """Stage a study's instances, each share in its batch; what the target does not take. None: it was broken off."""
    imports = _imports(bench, target)
    refused: list[StoreFailure] = []
    for batch, instances in shares:
        answers: dict[str, Staged | StoreFailure] = {}
        sizes = {item.record.sop_instance_uid: size_of(item) for item in instances}
        for answer in imports.stage(batch, study, instances):
            answers[answer.sop_instance_uid] = answer
            bench.pace.consume(sizes.get(answer.sop_instance_uid, 0), bench.cancelled)
            if bench.cancelled.is_set():
                return None
        for uid in sizes:
            found = answers.get(uid)
            if found is None:
                message = "the target did not say whether it was staged"
                refused.append(StoreFailure(sop_instance_uid=uid, code="no-answer", message=message, transient=True))
            elif isinstance(found, StoreFailure):
                refused.append(found)
    return tuple(refused)


def submit_batch(bench: Workbench, target: str, batch: Batch) -> JobToken:
    """Let the batch's job begin, or find the one that has begun."""
    return _imports(bench, target).submit(batch)


def poll_batch(bench: Workbench, target: str, token: JobToken) -> Pending | Done:
    """How the job stands."""
    return _imports(bench, target).poll(token)


def _imports(bench: Workbench, target: str) -> ImportsInBatches:
    imports = bench.archive(target).imports
    if imports is None:
        raise StateError(f"{target} does not import in batches")
    return imports
