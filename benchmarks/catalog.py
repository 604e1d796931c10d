"""The catalog: instances recorded per second, and planning a large archive.

Loading goes through ``record_part`` with real records. For planning, the rows of what was found are generated in SQL,
in the shape that loading leaves behind: loading ten million instances takes minutes and is measured on its own. Every
planning run is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import multiprocessing
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.model.identity import SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import Availability, InstanceRecord, SeriesAttributes
from vna_lifecycle.model.wave import DateRange, Exclusion, Order, StudyFilter, WavePolicy
from vna_lifecycle.ports import Part

PART = 5_000
PARTS = 24
IN_SERIES = 10

_ROWS = """
CREATE TEMP TABLE n(i INTEGER PRIMARY KEY);
INSERT INTO n WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < {studies}) SELECT i FROM r;
CREATE TEMP TABLE s(k INTEGER PRIMARY KEY);
INSERT INTO s SELECT i - 1 FROM n WHERE i <= 5;
INSERT INTO inventory VALUES (1, 'old', 1, {studies} / 500, {studies}, {studies} * 10, 0, 0);
INSERT INTO part SELECT i, 1, 'part-' || i, 5000, 0, 0, 0, '' FROM n WHERE i <= {studies} / 500;
INSERT INTO study
  SELECT i, '1.2.826.0.1.3680043.10.511.3.' || i, printf('%010x', (i * 829348951) % 1099511627689) FROM n;
INSERT INTO patient
  SELECT i, CASE i % 5 WHEN 0 THEN '' ELSE 'HOSP-' || (i % 5) END, printf('%08d', i * 7)
  FROM n WHERE i <= {studies} / 3 + 1;
INSERT INTO header
  SELECT
    i, CAST(printf('h%019d', i) AS BLOB), i, 1 + (i * 7919) % ({studies} / 3),
    'Family' || (i * 7919 % 90000) || '^Given', '19600102', 'F', 'S' || i, '', '', 'A' || (i * 31), 'HOSP',
    'Description number ' || (i % 400), 'CODE' || (i % 300) || '^L',
    CASE WHEN i % 50 > 0
      THEN printf('%04d%02d%02d', 2003 + (i * 7) % 22, 1 + (i * 5) % 12, 1 + (i * 11) % 28) END,
    printf('%02d%02d00.000000', (i * 3) % 24, (i * 13) % 60), 'description number ' || (i % 400)
  FROM n;
INSERT INTO variant
  SELECT
    i * 2 + k, CAST(printf('v%019d', i * 2 + k) AS BLOB), i, i, '1.2.826.0.1.3680043.10.511.4.' || i || '.' || k, k,
    CASE WHEN k = 1 AND i % 9 = 0 THEN 'SR' ELSE substr('CTMRCRUSDXCTMGCT', 1 + 2 * (i % 8), 2) END,
    'series ' || (i % 70), substr('HEADCHESTKNEE', 1 + 4 * (i % 3), 4), '', 'ISO_IR 100'
  FROM n, s WHERE k < 2;
INSERT INTO shape
  SELECT i, CAST('s' || i AS BLOB), '1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.1.2.1', 512, 512, NULL, 1, '[]'
  FROM n WHERE i <= 100;
INSERT INTO instance
  SELECT
    1 + (v.study - 1) / 500, v.id, k, 1 + v.id % 100,
    'archive/' || (v.study % 1000) || '/' || v.id || '/' || k || '.dcm',
    '1.2.826.0.1.3680043.10.511.5.' || v.id || '.' || k, 526000 + v.id % 1000, k
  FROM variant v, s;
INSERT INTO holding SELECT 1, 1 + (study - 1) / 500, id, 5, 0, 5 * (526000 + id % 1000), 0, 1, id FROM variant;
"""

EXCLUSIONS = [
    Exclusion(reason="undated", select=StudyFilter(undated=True)),
    Exclusion(reason="test", select=StudyFilter(descriptions=("*number 39?",))),
]
WAVES = [
    WavePolicy(name="pilot", select=StudyFilter(modalities=("CT", "MR")), max_studies=200),
    WavePolicy(
        name="recent", select=StudyFilter(studied=DateRange(first=dt.date(2020, 1, 1))), max_total_bytes=200_000_000_000
    ),
    WavePolicy(name="mammography", select=StudyFilter(modalities=("MG",)), order=Order.OLDEST_FIRST),
    WavePolicy(name="small", order=Order.SMALLEST_FIRST, max_studies=200_000),
    WavePolicy(name="rest"),
]


def label(uid: str) -> str:
    return hashlib.blake2b(uid.encode(), key=b"benchmark", digest_size=10).hexdigest()


def records(part: int) -> Iterator[InstanceRecord]:
    """One part: studies of two series of ten instances."""
    for number in range(PART // IN_SERIES):
        study = f"1.2.826.0.1.3680043.10.511.3.{part}.{number // 2}"
        series = SeriesAttributes(
            patient_id=f"{part}{number // 2:05d}",
            issuer_of_patient_id="HOSP-A",
            patient_name="Family^Given",
            patient_birth_date="19600102",
            patient_sex="F",
            study_uid=StudyUID(study),
            study_date="20240131",
            study_time="101112",
            accession_number=f"A{part}{number // 2}",
            study_description="CT chest with contrast",
            series_uid=SeriesUID(f"{study}.{number}"),
            series_number=str(number),
            modality="CT",
            body_part="CHEST",
            character_set="ISO_IR 100",
        )
        for position in range(IN_SERIES):
            yield InstanceRecord(
                locator=f"archive/{part:04d}/{number:05d}/{position:06d}.dcm",
                sop_instance_uid=SOPInstanceUID(f"{study}.{number}.{position}"),
                sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                transfer_syntax="1.2.840.10008.1.2.1",
                size=526_000 + position,
                instance_number=position,
                rows=512,
                columns=512,
                availability=Availability.ONLINE,
                series=series,
            )


def load(folder: Path) -> tuple[float, float]:
    """Median instances per second, without and with the construction of the records."""
    catalog = Catalog.open(folder / "load.db", label=label)
    catalog.begin_inventory(1, "old")
    bare, whole = [], []
    for number in range(PARTS):
        begun = time.perf_counter()
        items = list(records(number))
        built = time.perf_counter()
        catalog.record_part(1, Part(key=str(number)), items)
        ended = time.perf_counter()
        bare.append(PART / (ended - built))
        whole.append(PART / (ended - begun))
    catalog.close()
    return statistics.median(bare), statistics.median(whole)


def generate(path: Path, studies: int) -> None:
    Catalog.open(path, label=label).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-200000")
    connection.executescript(_ROWS.format(studies=studies))
    connection.commit()
    connection.close()


def plan(path: Path) -> tuple[float, float, float, float, float]:
    """Seconds to refresh, plan and read all members; peak memory in MiB; processor seconds of the first two."""
    catalog = Catalog.open(path, label=label)
    begun, spent = time.perf_counter(), time.process_time()
    catalog.refresh_studies(["old"])
    refreshed = time.perf_counter()
    drawn = catalog.plan(WAVES, EXCLUSIONS, plan=1)
    planned, spent = time.perf_counter(), time.process_time() - spent
    read = sum(1 for wave in drawn.waves for _ in catalog.plan_members(1, wave.name))
    ended = time.perf_counter()
    assert read == sum(wave.studies for wave in drawn.waves)
    catalog.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return refreshed - begun, planned - refreshed, ended - planned, peak, spent


def planning(folder: Path, studies: int) -> tuple[float, float, float, float, float]:
    path = folder / f"plan-{studies}.db"
    generate(path, studies)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        result = pool.submit(plan, path).result()
    for leftover in folder.glob(f"{path.name}*"):
        leftover.unlink()
    return result


def run(large: int = 1_000_000, small: int = 10_000) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory(prefix="catalog-benchmark-") as name:
        folder = Path(name)
        bare, whole = load(folder)
        few = sorted(planning(folder, small) for _ in range(7))[3]
        many = planning(folder, large)
    per_study_few, per_study_many = (sum(few[:2]) / small * 1e6, sum(many[:2]) / large * 1e6)
    note = "rows generated in SQL, planning touches none of the instances'"
    seconds = sum(many[:2])
    return [
        _row("catalog: record_part", bare, "instances/s", 40_000, bare >= 40_000, f"parts of {PART}, records given"),
        _row("catalog: records built and recorded", whole, "instances/s", 40_000, whole >= 40_000, f"parts of {PART}"),
        _row(
            f"catalog: plan {large} studies",
            seconds,
            "s",
            30.0,
            seconds <= 30,
            f"refresh {many[0]:.1f} s, plan {many[1]:.1f} s ({many[4]:.1f} s of processor time), "
            f"then members read in {many[2]:.1f} s; {note}",
        ),
        _row("catalog: plan, peak memory", many[3], "MiB", 1024, many[3] <= 1024, note),
        _row(
            f"catalog: cost per study, {large} against {small}",
            per_study_many / per_study_few,
            "ratio",
            1.3,
            per_study_many <= 1.3 * per_study_few,
            f"{per_study_many:.1f} against {per_study_few:.1f} microseconds",
        ),
    ]


def _row(name: str, ours: float, unit: str, target: float, reached: bool, note: str) -> dict[str, object]:
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
