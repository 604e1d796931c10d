"""A wave of 10,000 studies into HealthImaging, on a clock that only passes while somebody waits.

A whole program moves them from a folder into the fake, which throttles and counts jobs as AWS does. What the machine
works takes no time on that clock: what is left are the waits that the quotas impose, and those that they do not.

A study has one file here, so that the machine gets through, and a job takes 50 files instead of 5,000, so that there
are as many jobs as for studies of 100 files. All rates are AWS's.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from attrs import frozen
from pydicom.uid import JPEGBaseline8Bit

from benchmarks import Row
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.adapters.healthimaging.settings import HealthImagingSettings
from vna_lifecycle.plugin import Registry, impl, load_plugins
from vna_lifecycle.ports import Archive, Site
from vna_lifecycle.program import Program
from vna_lifecycle.testing.healthimaging import AWS_RATES, HandClock, HealthImagingFake, Keys, Quotas, Timing
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # its peers are the tests' own
from peers.s3 import Server, run_seaweed

STUDIES = 10_000
FILES_PER_JOB = 50
JOB_SECONDS = 300.0
LOOKS = 2  # searches for each study: what is there before it is staged, and what its job imported
CLOSE = 1.10
PROGRAM = """
[program]
name = "Wave"
[archives.folder]
plugin = "files"
path = "folder"
[archives.aws]
plugin = "on-the-clock"
datastore_id = "{store}"
data_access_role_arn = "arn:aws:iam::123456789012:role/import"
staging = "s3://{bucket}/stage/"
results = "s3://{bucket}/results/"
region = "us-east-1"
endpoint_url = "{endpoint}"
s3_endpoint_url = "{s3}"
access_key_id = "env:BENCH_HI_KEY"
secret_access_key = "env:BENCH_HI_SECRET"
max_files_per_job = {files}
concurrency = 1
[migration]
sources = ["folder"]
target = "aws"
verify = "equivalent"
[[waves]]
name = "all"
[execution]
reserve_bytes = 0
workers = 1
"""


@frozen
class OnTheClock:
    """Brings the archive as it is, but it waits on a clock of its own."""

    clock: HandClock

    @impl  # type: ignore[call-overload]  # the instance's method, as its clock is
    def vna_lifecycle_register(self, registry: Registry) -> None:
        """Register it under another name."""
        registry.archive("on-the-clock", HealthImagingSettings, self._open)

    def _open(self, settings: HealthImagingSettings, site: Site) -> Archive:
        return open_archive(settings, site, pause=self.clock.advance)


class Pausing(threading.Event):
    """A program's cancellation: to wait for it lets time pass."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        """As if ``timeout`` seconds went by."""
        self._clock.advance(timeout or 0.0)
        return self.is_set()


@frozen(kw_only=True)
class Wave:
    """What a wave took: seconds on the simulated clock, calls by operation, calls refused, jobs, and real seconds."""

    seconds: float
    calls: dict[str, int]
    throttled: int
    jobs: int
    most: int
    real: float


def bound(studies: int) -> float:
    """Seconds below which the quotas do not let a wave: of starting jobs, of searching, of reading metadata."""
    jobs = -(-studies // FILES_PER_JOB)
    starting = (jobs - 1) / AWS_RATES["StartDICOMImportJob"] + JOB_SECONDS
    searching = LOOKS * studies / AWS_RATES["SearchImageSets"]
    reading = studies / AWS_RATES["GetImageSetMetadata"]
    return max(starting, searching, reading)


def measure(studies: int, folder: Path, server: Server) -> Wave:
    """Move that many studies, and see that all arrived, once."""
    clock, keys = HandClock(), Keys(access_key_id=server.access_key_id, secret_access_key=server.secret_access_key)
    os.environ["BENCH_HI_KEY"], os.environ["BENCH_HI_SECRET"] = keys.access_key_id, keys.secret_access_key
    bucket, quotas = server.bucket(), Quotas(files=FILES_PER_JOB, rates=AWS_RATES)
    (folder / "folder").mkdir()
    for number in range(studies):
        spec = ObjectSpec(study=number + 1, patient_id=f"P{number}", transfer_syntax=JPEGBaseline8Bit)
        (folder / "folder" / f"{number}.dcm").write_bytes(dicom_bytes(spec))
    with HealthImagingFake(
        server.client(), clock=clock, quotas=quotas, timing=Timing(running=JOB_SECONDS), keys=keys
    ) as fake:
        store = fake.create_datastore()
        text = PROGRAM.format(
            store=store.id,
            bucket=bucket,
            endpoint=fake.endpoint_url,
            s3=server.endpoint_url,
            files=FILES_PER_JOB,
        )
        (folder / "program.toml").write_text(text)
        Program.init(folder, clock=clock)
        with Program.open(folder, plugins=load_plugins([OnTheClock(clock)]), clock=clock) as program:
            program.cancelled = Pausing(clock)
            program.take_inventory()
            [wave] = program.plan().waves
            begun, real = clock(), time.monotonic()
            result = program.transfer(wave)
            took, real = (clock() - begun).total_seconds(), time.monotonic() - real
        assert (result.outcome, result.transferred) == ("complete", studies), str(result)
        assert sum(len(found.latest.instances) for found in store.present()) == studies
        times = [(job.submitted, job.ended) for job in store.jobs.values() if job.ended is not None]
        moments = sorted([(begin, 1) for begin, _ in times] + [(end, -1) for _, end in times])
        return Wave(
            seconds=took,
            calls=dict(fake.service.seen),
            throttled=fake.service.throttled,
            jobs=len(times),
            most=max(itertools.accumulate(step for _, step in moments)),
            real=real,
        )


def run(*, quick: bool = False) -> list[Row]:
    """Beside the bound; nothing but the quotas may hold the wave up."""
    studies = STUDIES // 20 if quick else STUDIES
    memory = Path("/dev/shm")  # noqa: S108 - the files stay in memory so that the disk is not measured
    with tempfile.TemporaryDirectory(prefix="wave-bench-", dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        (folder / "server").mkdir()
        (folder / "program").mkdir()
        with run_seaweed(folder / "server") as server:
            found = measure(studies, folder / "program", server)
    least = bound(studies)
    searches = found.calls["SearchImageSets"] / studies
    note = (
        f"{studies:,} studies in {found.jobs} jobs of {JOB_SECONDS:.0f} s, at most {found.most} at a time;"
        f" {searches:.2f} searches a study; {found.throttled} calls throttled; {found.real:.0f} s on the machine"
    )
    return [
        Row(
            name="a wave into HealthImaging, on a simulated clock, against the quotas' bound",
            ours=round(found.seconds),
            peer=round(least),
            unit="s",
            ratio=round(found.seconds / least, 3),
            target=f"<= {CLOSE:.2f}",
            reached=found.seconds <= CLOSE * least,
            note=note,
        )
    ]


if __name__ == "__main__":
    for row in run(quick="--quick" in sys.argv):
        print(row)
