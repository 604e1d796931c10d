"""Acceptance by metadata: every built-in check that needs no archive, over large synthetic waves.

The rows of what was found and of where the studies stand are generated in SQL, in the shape that inventories and
transfers leave behind; each study's manifest lies in a real vault, and findings go into a real ledger. Every run is a
process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import multiprocessing
import resource
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any, cast

from attrs import frozen

from benchmarks import catalog as rows
from vna_lifecycle.catalog import Catalog
from vna_lifecycle.engine.accept import Accept, AcceptanceTerms
from vna_lifecycle.engine.case import wave_case
from vna_lifecycle.engine.examining import Scope, prepare_checks
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.ledger import Ledger
from vna_lifecycle.model.identity import SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import Digest, Manifest, ManifestEntry
from vna_lifecycle.plugin import load_plugins
from vna_lifecycle.policy.acceptance import AcceptancePolicy
from vna_lifecycle.vault import Vault

WAVE = "pilot"
CHUNK = 2_000
ASK_ARCHIVES = ("unexplained-change",)

_MIGRATION = """
INSERT INTO wave (name, plan, sequence, studies, instances, size) VALUES ('pilot', 1, 0, {studies}, {studies} * 10, 0);
INSERT INTO progress (wave, state, studies, instances, size)
  VALUES ('pilot', 'transferred', {studies}, {studies} * 10, 0);
"""
_STUDY = (
    "INSERT INTO migration (label, study_uid, wave, plan, state, attempt, instances, manifest_ref, expected_ref,"
    " read_back_ref, rung) VALUES (?, ?, 'pilot', 1, 'transferred', 1, 10, ?, ?, ?, 'hashed')"
)


def manifest(study: int) -> Manifest:
    """The manifest of a study as `benchmarks.catalog` lists it."""
    entries = []
    for series in (study * 2, study * 2 + 1):
        for position in range(5):
            text = f"{series}.{position}"
            digest = hashlib.sha256(text.encode()).hexdigest()
            entries.append(
                ManifestEntry(
                    sop_instance_uid=SOPInstanceUID(f"1.2.826.0.1.3680043.10.511.5.{text}"),
                    series_uid=SeriesUID(f"1.2.826.0.1.3680043.10.511.4.{study}.{series % 2}"),
                    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                    transfer_syntax="1.2.840.10008.1.2.1",
                    size=526_000 + series % 1000,
                    digest=Digest(
                        dataset_sha256=digest, header_sha256=digest, pixel_sha256=digest, dataset_size=525_000
                    ),
                )
            )
    return Manifest(study_uid=StudyUID(f"1.2.826.0.1.3680043.10.511.3.{study}"), entries=entries)


def generate(folder: Path, studies: int) -> None:
    """A program's databases with one wave of transferred studies."""
    rows.generate(folder / "catalog.db", studies)
    Vault.create(folder / "vault.db", folder / "keys").close()
    Ledger.create(folder / "ledger.db", origin="benchmark", clock=lambda: dt.datetime.now(dt.UTC)).close()
    vault = Vault.open(folder / "vault.db", folder / "keys")
    connection = sqlite3.connect(folder / "catalog.db")
    connection.execute("PRAGMA synchronous=OFF")
    connection.executescript(_MIGRATION.format(studies=studies))
    for first in range(1, studies + 1, CHUNK):
        found = connection.execute(
            "SELECT study.id, label, uid, header.patient FROM study JOIN header ON header.study = study.id"
            " WHERE study.id BETWEEN ? AND ?",
            (first, first + CHUNK - 1),
        ).fetchall()
        vault.begin([(label, f"patient {patient}") for _, label, _, patient in found])
        refs = vault.put_many([(label, manifest(study).to_bytes()) for study, label, _, _ in found])
        connection.executemany(
            _STUDY, [(label, uid, ref, ref, ref) for (_, label, uid, _), ref in zip(found, refs, strict=True)]
        )
    connection.commit()
    connection.close()
    vault.close()


class _Bench:
    """No check that is measured here asks an archive."""

    cancelled = threading.Event()


def _no_executor() -> Executor:
    raise RuntimeError("nothing is fetched")


@frozen(kw_only=True)
class Measured:
    """``seconds`` by the wall, ``spent`` of processor time; ``peak`` memory in MiB; each check's own seconds."""

    seconds: float
    spent: float
    peak: float
    findings: int
    checks: dict[str, float]


def accept(folder: Path) -> Measured:
    vault = Vault.open(folder / "vault.db", folder / "keys")
    catalog = Catalog.open(folder / "catalog.db", label=vault.label)
    ledger = Ledger.open(folder / "ledger.db", clock=lambda: dt.datetime.now(dt.UTC))
    journal = Journal(ledger, catalog, vault, actor="benchmark")
    registry = load_plugins().registry
    settings = {
        name: plugin.settings()
        for plugins in (registry.checks, registry.wave_checks)
        for name, plugin in cast("dict[str, Any]", plugins).items()
    }
    checks = tuple(
        check
        for check in prepare_checks(registry, settings)
        if check.scope is not Scope.SAMPLE and check.name not in ASK_ARCHIVES
    )
    begun, spent = time.perf_counter(), time.process_time()
    catalog.refresh_studies(["old"])
    bench = cast(Workbench, _Bench())
    work = Accept(
        journal=journal,
        bench=bench,
        executor=_no_executor,
        cancelled=_Bench.cancelled,
        checks=checks,
        terms=AcceptanceTerms(
            policy=AcceptancePolicy(confidence=0.95, max_defect_rate=0.005, attempts=3),
            strata="modality",
            required=frozenset(check.name for check in checks),
            check_seconds=60.0,
            target="new",
            readers=("new",),
            workers=2,
        ),
        case=wave_case(journal, bench, WAVE, sources=["old"], target="new"),
        waived=lambda address: False,
        seconds=time.monotonic,
        sleep=time.sleep,
    )
    result = work.run(seed=hashlib.sha256(b"benchmark").hexdigest())
    seconds, spent = time.perf_counter() - begun, time.process_time() - spent
    assert result.verdict is not None
    assert not any(line.not_assessed for line in result.checks)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = sum(kind.count for kind in result.findings)
    for handle in (ledger, catalog, vault):
        handle.close()
    return Measured(
        seconds=seconds,
        spent=spent,
        peak=peak,
        findings=found,
        checks={line.name: line.seconds for line in result.checks},
    )


def measured(studies: int) -> Measured:
    with tempfile.TemporaryDirectory(prefix="acceptance-benchmark-") as name:
        folder = Path(name)
        generate(folder, studies)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(accept, folder).result()


def run(large: int = 100_000, small: int = 10_000, *, quick: bool = False) -> list[dict[str, object]]:
    if quick:
        large, small = 2_000, 500
    few = sorted((measured(small) for _ in range(3)), key=lambda each: each.spent)[1]
    many = measured(large)
    per_few, per_many = few.spent / small * 1e3, many.spent / large * 1e3
    note = "study and wave checks on listings and manifests; archives are not asked"
    slowest = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in _slowest(many.checks))
    return [
        _row(
            f"acceptance: {large} studies by metadata",
            many.seconds,
            "s",
            "300.0",
            many.seconds <= 300,
            f"{many.spent:.0f} s of processor time; {many.findings} findings; {slowest}; {note}",
        ),
        _row("acceptance: peak memory", many.peak, "MiB", "1024", many.peak <= 1024, f"{few.peak:.0f} MiB for {small}"),
        _row(
            f"acceptance: processor time per study, {large} against {small}",
            per_many / per_few,
            "ratio",
            "1.2",
            per_many <= 1.2 * per_few,
            f"{per_many:.2f} against {per_few:.2f} ms",
        ),
    ]


def _slowest(seconds: dict[str, float]) -> Iterator[tuple[str, float]]:
    yield from sorted(seconds.items(), key=lambda each: -each[1])[:4]


def _row(name: str, ours: float, unit: str, target: str, reached: bool, note: str) -> dict[str, object]:
    return {
        "name": name,
        "ours": round(ours, 2),
        "peer": None,
        "unit": unit,
        "ratio": None,
        "target": target,
        "reached": reached,
        "note": note,
    }


if __name__ == "__main__":
    for row in run(*map(int, sys.argv[1:])):
        print(row)
