"""The ledger's speed: durable appends, verification, and what a million events change.

The peer of an append is SQLite alone, driven by the standard library: the same bytes into one table, in one
transaction, with the same durable settings. What is above it is the price of the Merkle tree, the canonical JSON, the
signature and the idempotency keys.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import Row
from vna_lifecycle.ledger import Draft, Ledger
from vna_lifecycle.model.event import InventoryCompleted, StudyFetched

BATCH = 1000
LARGE = 1_000_000
PAIRS = 70  # two runs of keys are settled within them


def _clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _drafts(ledger: str, start: int) -> list[Draft]:
    drafts = []
    for number in range(start, start + BATCH):
        digest = hashlib.sha256(f"{ledger}:{number}".encode()).hexdigest()
        event = StudyFetched(
            study=digest[:16],
            wave="wave-001",
            attempt=1,
            instances=412,
            size=216_006_656,
            held=0,
            failed=0,
            manifest_ref=digest,
        )
        drafts.append(Draft(event=event, key=f"study-fetched:{digest[:16]}:1", actor="engine"))
    return drafts


class _Timed:
    """Times one kind of work again and again: by the clock, and in this thread's processor time."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.processor: list[float] = []

    def __call__(self, work: Callable[[], object]) -> None:
        processor, start = time.thread_time(), time.perf_counter()
        work()
        self.seconds.append(time.perf_counter() - start)
        self.processor.append(time.thread_time() - processor)

    def speed(self, units: int) -> float:
        return units / statistics.median(self.seconds)

    def note(self, units: int) -> str:
        return f"{units / statistics.median(self.processor):,.0f} per second of processor time"


class _Bare:
    """SQLite alone."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode=WAL", "synchronous=FULL"):
            self.connection.execute(f"PRAGMA {setting}")
        self.connection.execute("CREATE TABLE events (sequence INTEGER PRIMARY KEY, key TEXT, body BLOB, tree BLOB)")

    def insert(self, rows: list[tuple[int, str, bytes, bytes]]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        self.connection.execute("COMMIT")


def run(quick: bool = False) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="ledger-benchmark-") as directory:
        return _run(Path(directory), 50_000 if quick else LARGE, 10 if quick else PAIRS)


def _run(directory: Path, large: int, pairs: int) -> list[Row]:
    key = Ed25519PrivateKey.generate()
    small_ledger = Ledger.create(directory / "small.db", origin="small", clock=_clock, signing_key=key)
    large_ledger = Ledger.create(directory / "large.db", origin="large", clock=_clock, signing_key=key)
    small_ledger.append(_drafts("small", 0))
    for start in range(0, large, BATCH):
        large_ledger.append(_drafts("large", start))
    bare = _Bare(directory / "bare.db")
    ours, grown, peer = _Timed(), _Timed(), _Timed()
    for pair in range(1, pairs + 1):
        start = pair * BATCH
        drafts, more = _drafts("small", start), _drafts("large", large + start)
        ours(partial(small_ledger.append, drafts))
        grown(partial(large_ledger.append, more))
        raw = sqlite3.connect(small_ledger.path)
        rows = raw.execute("SELECT * FROM events WHERE sequence >= ?", (start,)).fetchall()
        raw.close()
        peer(partial(bare.insert, rows))
    bare.connection.close()
    single, prove_small, prove_large = _Timed(), _Timed(), _Timed()
    for number in range(101):
        single(partial(small_ledger.append, [_single(number)]))
        prove_small(partial(small_ledger.prove, number * 97))
        prove_large(partial(large_ledger.prove, number * 97))
    shallow, deep, reading = _Timed(), _Timed(), _Timed()
    for _ in range(7):
        shallow(lambda: _holds(small_ledger, deep=False))
        deep(lambda: _holds(small_ledger, deep=True))
        reading(lambda: sum(1 for _ in small_ledger.read()))
    size, large_size = small_ledger.size(), large_ledger.size()
    large_shallow, large_deep = _Timed(), _Timed()
    large_shallow(lambda: _holds(large_ledger, deep=False))
    large_deep(lambda: _holds(large_ledger, deep=True))
    small_ledger.close()
    large_ledger.close()
    growth = sorted(a / b for a, b in zip(ours.seconds, grown.seconds, strict=True))
    mean = sum(ours.seconds) / sum(grown.seconds)
    return [
        _row("durable append in batches of 1,000", ours, BATCH, 20_000, peer),
        _row(f"the same at {large:,} events", grown, BATCH, 20_000, peer),
        Row(
            name=f"ledger: append speed at {large:,} events against a small ledger",
            ours=statistics.median(growth),
            unit="ratio",
            target=">= 0.8",
            reached=statistics.median(growth) >= 0.8,
            note=f"{pairs} pairs; of the means, so with the runs of keys that are settled in between: {mean:.2f}",
        ),
        _row("appends of a single event", single, 1),
        _row("read", reading, size),
        _row("verify", shallow, size, 100_000),
        _row("verify in depth", deep, size, 25_000),
        _row(f"verify, {large_size:,} events, once", large_shallow, large_size, 100_000),
        _row(f"verify in depth, {large_size:,} events, once", large_deep, large_size, 25_000),
        _row("inclusion proofs", prove_small, 1),
        _row(f"inclusion proofs at {large:,} events", prove_large, 1),
    ]


def _single(number: int) -> Draft:
    event = InventoryCompleted(inventory=number, archive="old", parts=1, studies=1, instances=1, refused=0, size=1)
    return Draft(event=event, key=f"inventory-completed:{number}", actor="engine")


def _holds(ledger: Ledger, *, deep: bool) -> None:
    assert ledger.verify(deep=deep).ok


def _row(name: str, timed: _Timed, units: int, target: int = 0, peer: _Timed | None = None) -> Row:
    ours = timed.speed(units)
    theirs = peer.speed(units) if peer else None
    return Row(
        name=f"ledger: {name}",
        ours=ours,
        peer=theirs,
        unit="per second",
        target=f"{target:,} per second" if target else "",
        reached=ours >= target if target else None,
        note=timed.note(units) + (f"; {theirs / ours:.1f} times that is SQLite alone" if theirs else ""),
    )


if __name__ == "__main__":
    for row in run():
        print(row)
