"""HealthImaging at the size of an archive: packing a million files into jobs, and reconciling what the jobs report.

Result files are made as the service writes them, one batch after the other, and read through the same code as in a
program; only S3 is left out. The bound is absolute: there is no peer that does this.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import resource
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import Row
from vna_lifecycle.adapters.healthimaging.batch import file_name
from vna_lifecycle.adapters.healthimaging.results import read_report, reconcile
from vna_lifecycle.adapters.s3.bucket import Listed
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.policy.packing import BatchLimits, Share, pack
from vna_lifecycle.ports import Receipt

FILES = 1_000_000
SECONDS = 60.0
MIB = 500.0
LIMITS = BatchLimits(instances=5_000, size=10 * 10**9)


def studies(files: int) -> Iterator[tuple[int, list[int]]]:
    """Studies of 1 to 2,000 instances of about half a megabyte."""
    chance = random.Random(1)
    number = 0
    while files:
        count = min(files, int(chance.lognormvariate(4.5, 1.2)) + 1, 2_000)
        yield number, [chance.randrange(100_000, 900_000) for _ in range(count)]
        files -= count
        number += 1


class Results:
    """The result files of one job."""

    def __init__(self, names: list[str]) -> None:
        response = {"imageSetId": "a" * 32, "isPrimary": True}
        lines = [json.dumps({"inputFile": f"stage/in/batch/{name}", "importResponse": response}) for name in names]
        summary = {"numberOfScannedFiles": len(names), "numberOfImportedFiles": len(names)}
        self.files = {
            "job/job-output-manifest.json": json.dumps({"jobSummary": summary}).encode(),
            "job/SUCCESS/success.ndjson": "\n".join(lines).encode(),
        }

    def read(self, key: str) -> bytes:
        return self.files[key]

    def listing(self, below: str) -> list[Listed]:
        return [Listed(key=key, size=len(data), etag="", storage_class="") for key, data in self.files.items()]


def measure(files: int) -> dict[str, float]:
    """Seconds of packing and of reconciling, how full the batches are, and peak memory in MiB, of this process."""
    begin = time.perf_counter()
    batches = list(pack(studies(files), LIMITS))
    packing = time.perf_counter() - begin
    sizes = [sum(share.stop - share.start for share in batch) for batch in batches]
    reconciling = 0.0
    accounted = 0
    for batch in batches:
        staged = [(uid, file_name(uid, f"{at:064x}")) for at, uid in enumerate(uids(batch))]
        bucket: Any = Results([name for _, name in staged])
        begin = time.perf_counter()
        answers = reconcile(staged, read_report(bucket, "job/"))
        accounted += sum(isinstance(answer, Receipt) for answer in answers)
        reconciling += time.perf_counter() - begin
    assert accounted == sum(sizes) == files
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    least = files / 5_000
    return {"packing": packing, "reconciling": reconciling, "jobs": len(batches), "least": least, "peak": peak}


def uids(batch: tuple[Share[int], ...]) -> Iterator[SOPInstanceUID]:
    for share in batch:
        for at in range(share.start, share.stop):
            yield SOPInstanceUID(f"1.2.826.0.1.3680043.10.1999.{share.study}.{at}")


def run(*, quick: bool = False) -> list[Row]:
    """In a process of its own, so that the memory is its own."""
    files = FILES // 20 if quick else FILES
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(measure, (files,))
    seconds = found["packing"] + found["reconciling"]
    note = f"{files:,} files; packing {found['packing']:.1f} s, reconciling {found['reconciling']:.1f} s"
    filled = found["jobs"] / found["least"]
    return [
        Row(
            name="pack and reconcile a million files",
            ours=round(seconds, 1),
            unit="s",
            target=f"<= {SECONDS:.0f} s",
            reached=seconds <= SECONDS,
            note=note,
        ),
        Row(
            name="peak memory of that",
            ours=round(found["peak"]),
            unit="MiB",
            target=f"<= {MIB:.0f} MiB",
            reached=found["peak"] <= MIB,
            note="the whole process",
        ),
        Row(
            name="import jobs against the fewest that the quota of files allows",
            ours=found["jobs"],
            peer=found["least"],
            unit="jobs",
            ratio=round(filled, 3),
            target="<= 1.10",
            reached=filled <= 1.10,
            note="jobs are started at a fixed pace, so fuller batches are a faster wave",
        ),
    ]


if __name__ == "__main__":
    for row in run():
        print(row)
