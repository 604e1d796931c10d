"""What is on record of import jobs: how far they are, and what they did not take."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

from attrs import frozen

from vna_lifecycle.catalog import BatchLine
from vna_lifecycle.errors import StateError
from vna_lifecycle.ledger import Ledger
from vna_lifecycle.model.event import StoreIntended
from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.ports import Outcome
from vna_lifecycle.vault import Vault

_TAKEN = frozenset(outcome.value for outcome in Outcome)


@frozen(kw_only=True)
class NotTaken:
    """Instances of a study that a job did not take, or of which it said something: ``code`` is a stable word."""

    study: str
    code: str
    sop_instance_uids: tuple[str, ...]


@frozen(kw_only=True)
class BatchReport:
    """A batch, and what its job did not take (``failures``) or took with a warning (``warnings``)."""

    batch: BatchLine
    failures: tuple[NotTaken, ...] = ()
    warnings: tuple[NotTaken, ...] = ()


@frozen(kw_only=True)
class WaveLeft:
    """How many batches of a wave wait for an answer, and about how long that takes: None where nobody knows yet."""

    wave: str
    under_way: int
    seconds_left: float | None


def seconds_left(batches: Sequence[BatchLine], now: dt.datetime) -> float | None:
    """An estimate for all batches that wait for an answer, from how long the ended ones took for their instances.

    None while no batch has ended.
    """
    ended = _ended(batches)
    answered = sum(line.instances for line in ended)
    if not answered:
        return None
    begun = min(dt.datetime.fromisoformat(line.opened) for line in ended)
    latest = max(dt.datetime.fromisoformat(line.ended) for line in ended)
    waiting = [line for line in batches if _waits(line)]
    rate = (latest - begun).total_seconds() / answered
    since = (now - latest).total_seconds() if waiting else 0.0
    return max(rate * sum(line.instances for line in waiting) - since, 0.0)


def seconds_left_by_wave(batches: Sequence[BatchLine], now: dt.datetime) -> tuple[WaveLeft, ...]:
    """As `seconds_left`, for each wave with batches that wait; one without an ended batch is measured by the others."""
    found: list[WaveLeft] = []
    for wave in dict.fromkeys(line.wave for line in batches if _waits(line)):
        own = [line for line in batches if line.wave == wave]
        measured = own if _ended(own) else [*_ended(batches), *own]
        left = seconds_left(measured, now)
        found.append(WaveLeft(wave=wave, under_way=sum(map(_waits, own)), seconds_left=left))
    return tuple(found)


def seconds_left_of(line: BatchLine, batches: Sequence[BatchLine], now: dt.datetime) -> float | None:
    """An estimate for one batch that waits, from how long ended ones took from being opened, for each instance.

    None where it waits for nothing, or no batch has ended.
    """
    ended = [each for each in _ended(batches) if each.instances]
    if not _waits(line) or not ended:
        return None
    took = sum(_seconds(each.opened, each.ended) for each in ended) / sum(each.instances for each in ended)
    return max(took * line.instances - (now - dt.datetime.fromisoformat(line.opened)).total_seconds(), 0.0)


def _ended(batches: Sequence[BatchLine]) -> list[BatchLine]:
    return [line for line in batches if line.state == "ended"]


def _waits(line: BatchLine) -> bool:
    return line.state in ("closed", "submitted")


def _seconds(begun: str, ended: str) -> float:
    return (dt.datetime.fromisoformat(ended) - dt.datetime.fromisoformat(begun)).total_seconds()


def job_report(ledger: Ledger, vault: Vault, batches: Sequence[BatchLine], key: str) -> BatchReport:
    """Everything on record of one batch, by the beginning of its key or its job's own name.

    Raises:
        StateError: there is no such batch, or several.
    """
    matching = [line for line in batches if line.batch.startswith(key) or line.job == key]
    if len(matching) != 1:
        raise StateError(f"{len(matching)} batches are named {key!r}", hint="See: vna-lifecycle jobs list")
    line = matching[0]
    if not line.results_ref:
        return BatchReport(batch=line)
    failures: dict[tuple[str, str], list[str]] = {}
    warnings: dict[tuple[str, str], list[str]] = {}
    results = json.loads(vault.get(line.results_ref))
    for member, answers in zip(json.loads(vault.get(line.members_ref)), results, strict=True):
        troubled = [answer for answer in answers if answer[1] not in _TAKEN or answer[2]]
        manifest = _expected(ledger, vault, line.wave, member["study"], member["attempt"]) if troubled else None
        for index, word, warned in troubled:
            uid = manifest.entries[index].sop_instance_uid if manifest else ""
            if word not in _TAKEN:
                failures.setdefault((member["study"], word), []).append(uid)
            for code in warned:
                warnings.setdefault((member["study"], code), []).append(uid)
    return BatchReport(batch=line, failures=_listed(failures), warnings=_listed(warnings))


def _listed(found: dict[tuple[str, str], list[str]]) -> tuple[NotTaken, ...]:
    return tuple(
        NotTaken(study=study, code=code, sop_instance_uids=tuple(uids)) for (study, code), uids in sorted(found.items())
    )


def _expected(ledger: Ledger, vault: Vault, wave: str, study: str, attempt: int) -> Manifest | None:
    recorded = ledger.find(f"transfer/{wave}/{study}/{attempt}/store-intended")
    if recorded is None or not isinstance(recorded.event, StoreIntended):
        return None
    return Manifest.from_bytes(vault.get(recorded.event.expected_ref))
