"""Storing into a bucket and reading all of it back, against ``rclone copy`` into the same server.

rclone checks the checksums of what it sends, and with ``--checksum`` compares hashes afterwards; ours sends each object
with its SHA-256, writes the studies' manifests, and then fetches and hashes every object.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from benchmarks import Row, interleave
from benchmarks.files_to_files import build_large, build_many, measure

STUDIES = 20
PAIRS = 5  # of some 40 seconds each
PUT_RATIO = 0.95
PEAK_MIB = 200.0
LARGE_FRAMES = 4096  # 512 x 512 x 2 bytes each: 2 GiB
ROOT = Path(__file__).parents[1]


@frozen
class Target:
    """Where both put their objects."""

    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    bucket: str


@frozen
class Served:
    """A server that runs. Each measurement has a bucket of its own, which is removed after it: what all of them put
    would not fit into memory."""

    target: Target
    make: Callable[[], str]
    remove: Callable[[str], None]

    @contextmanager
    def room(self) -> Iterator[Target]:
        bucket = self.make()
        try:
            yield evolve(self.target, bucket=bucket)
        finally:
            self.remove(bucket)


def run(quick: bool = False) -> list[Row]:
    memory = Path("/dev/shm")  # noqa: S108 - the files stay in memory so that the disk is not measured
    with tempfile.TemporaryDirectory(prefix="s3-bench-", dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        many, large = folder / "many", folder / "large"
        build_many(many, studies=2 if quick else STUDIES)
        size = sum(path.stat().st_size for path in many.rglob("*.dcm"))
        with serve(folder) as served:
            seconds: list[float] = []
            copied: list[float] = []
            checked: list[float] = []

            def ours() -> float:
                with served.room() as target:
                    seconds.append(run_apart("--store", many, target, "ours"))
                return 1 / seconds[-1]

            def peer() -> float:
                with served.room() as target:
                    took, compared = rclone(many, target, "peer")
                copied.append(took)
                checked.append(took + compared)
                return 1 / took

            compared = interleave(ours, peer, pairs=3 if quick else PAIRS)
            bare: list[float] = []
            for _ in range(3):
                with served.room() as target:
                    bare.append(run_apart("--floor", many, target, "bare"))
            shutil.rmtree(many)
            build_large(large, frames=LARGE_FRAMES // 16 if quick else LARGE_FRAMES)
            large_size = next(large.iterdir()).stat().st_size
            with served.room() as target:
                peak = peak_of(large, target, "large")
    return [
        Row(
            name=f"put {size / 1e9:.2g} GB of CT into S3 and read 100 % back",
            ours=size / 1e6 * compared.ours,
            peer=size / 1e6 * compared.peer,
            unit="MB/s",
            ratio=compared.ratio,
            target=f">= {PUT_RATIO}",
            reached=compared.ratio >= PUT_RATIO,
            note=f"peer: rclone copy --checksum, without reading back; SeaweedFS; {compared.interval}",
        ),
        Row(
            name=f"put {size / 1e9:.2g} GB of CT into S3 and read 100 % back, against the same work",
            ours=statistics.median(seconds),
            peer=statistics.median(checked),
            unit="s",
            ratio=statistics.median(theirs / mine for theirs, mine in zip(checked, seconds, strict=True)),
            target=">= 1",
            reached=statistics.median(theirs / mine for theirs, mine in zip(checked, seconds, strict=True)) >= 1,
            note="peer: rclone copy --checksum, then check --download; rates, so more is better",
        ),
        Row(
            name=f"put {size / 1e9:.2g} GB of CT into S3 and read 100 % back, against bare requests",
            ours=statistics.median(seconds),
            peer=statistics.median(bare),
            unit="s",
            ratio=statistics.median(bare) / statistics.median(seconds),
            note="for information, what the server allows: signed requests in a loop, hashes and nothing else; "
            f"to rclone they have the ratio {statistics.median(copied) / statistics.median(bare):.3g}",
        ),
        Row(
            name=f"put one object of {large_size / 1e9:.2g} GB into S3 and read it back, peak memory",
            ours=peak,
            unit="MiB",
            target=f"<= {PEAK_MIB:.0f} MiB",
            reached=peak <= PEAK_MIB,
            note="one process",
        ),
    ]


def run_apart(what: str, source: Path, target: Target, prefix: str) -> float:
    """Seconds to store every study and to fetch and hash each of its objects: `store_and_read` or `bare_requests`."""
    command = [sys.executable, "-m", "benchmarks.s3", what, str(source), prefix]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **_settings(target)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout)


def peak_of(source: Path, target: Target, prefix: str) -> float:
    """The most memory of that process, in MiB."""
    command = [sys.executable, "-m", "benchmarks.s3", "--store", str(source), prefix]
    return measure(command, PYTHONPATH=str(ROOT), **_settings(target)).peak_mib


def _settings(target: Target) -> dict[str, str]:
    return {
        "BENCH_ENDPOINT": target.endpoint_url,
        "BENCH_KEY": target.access_key_id,
        "BENCH_SECRET": target.secret_access_key,
        "BENCH_BUCKET": target.bucket,
    }


def rclone(source: Path, target: Target, prefix: str) -> tuple[float, float]:
    """Seconds for rclone to copy, and then to read all back, with as many transfers as we have calls at a time."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
        "RCLONE_CONFIG_BENCH_ENDPOINT": target.endpoint_url,
        "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": target.access_key_id,
        "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": target.secret_access_key,
    }
    places = [str(source), f"bench:{target.bucket}/{prefix}"]
    took = []
    for verb in (["copy", "--checksum"], ["check", "--download"]):
        command = ["rclone", *verb, "--transfers", "8", "--checkers", "8", *places]
        begun = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        took.append(time.perf_counter() - begun)
        if done.returncode:
            raise RuntimeError(done.stderr)
    return took[0], took[1]


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """SeaweedFS with its data in ``folder``."""
    sys.path.insert(0, str(ROOT / "tests"))
    from peers.s3 import run_seaweed

    place = folder / "seaweed"
    place.mkdir()
    with run_seaweed(place) as server:
        client = server.client()

        def remove(bucket: str) -> None:
            """With what is in it, and the files that the server keeps it in."""
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                keys: Any = [{"Key": item["Key"]} for item in page.get("Contents", ())]
                if keys:
                    client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            client.delete_bucket(Bucket=bucket)

        target = Target(server.endpoint_url, server.access_key_id, server.secret_access_key, "")
        yield Served(target, server.bucket, remove)


def store_and_read(source: Path, prefix: str) -> float:
    """What is measured: as the engine does it, two studies at the same time, records and digests known beforehand."""
    from concurrent.futures import ThreadPoolExecutor

    from vna_lifecycle.adapters.s3.settings import S3Settings
    from vna_lifecycle.builtin import open_s3
    from vna_lifecycle.dicom.digest import dataset_sha256, examine_file
    from vna_lifecycle.model.identity import StudyRef
    from vna_lifecycle.plugin import SecretReference
    from vna_lifecycle.ports import Fetched, Receipt, Site

    studies: dict[str, list[Fetched]] = {}
    for path in sorted(source.rglob("*.dcm")):
        examined = examine_file(path, locator="")
        item = Fetched(record=examined.record, path=path, digest=examined.digest)
        studies.setdefault(examined.record.study_uid, []).append(item)

    with tempfile.TemporaryDirectory(dir=source.parent) as name:
        folder = Path(name)
        settings = S3Settings(
            bucket=os.environ["BENCH_BUCKET"],
            prefix=prefix,
            endpoint_url=os.environ["BENCH_ENDPOINT"],
            access_key_id=SecretReference("BENCH_KEY"),
            secret_access_key=SecretReference("BENCH_SECRET"),
        )
        site = Site(
            name="bench",
            workspace=folder,
            clock=lambda: dt.datetime.now(dt.UTC),
            cancelled=threading.Event(),
            secret=lambda reference: os.environ[reference],
        )
        begun = time.perf_counter()
        archive = open_s3(settings, site)
        assert archive.stores is not None
        stores = archive.stores

        def one(items: list[Fetched]) -> None:
            study = StudyRef(study_uid=items[0].record.study_uid)
            answers = list(stores.store(study, items))
            assert all(isinstance(answer, Receipt) for answer in answers), answers
            expected = {item.record.sop_instance_uid: item.digest.dataset_sha256 for item in items if item.digest}
            listed = list(archive.reads.list_instances(study))
            place = folder / hashlib.sha256(study.study_uid.encode()).hexdigest()
            place.mkdir()
            count = 0
            for got in archive.reads.fetch(study, listed, _Spool(place)):
                assert isinstance(got, Fetched), got
                assert dataset_sha256(got.path)[0] == expected[got.record.sop_instance_uid]
                got.path.unlink()
                count += 1
            assert count == len(items)

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(one, studies.values()))
        archive.reads.close()
        return time.perf_counter() - begun


def bare_requests(source: Path, prefix: str) -> float:
    """The least that Python can do: each file put with its checksum, got, and hashed; eight at a time."""
    from concurrent.futures import ThreadPoolExecutor
    from urllib.parse import urlsplit

    import urllib3

    from vna_lifecycle.adapters.s3.signing import Credentials, signed
    from vna_lifecycle.adapters.s3.upload import checksum_of

    files = sorted(source.rglob("*.dcm"))
    credentials = Credentials(os.environ["BENCH_KEY"], os.environ["BENCH_SECRET"])
    endpoint = urlsplit(os.environ["BENCH_ENDPOINT"])
    host = endpoint.netloc
    pool = urllib3.HTTPConnectionPool(str(endpoint.hostname), endpoint.port, maxsize=8, retries=False)

    def ask(method: str, path: str, body: bytes, **more: str) -> bytes:
        headers = {"host": host, **{name.replace("_", "-"): value for name, value in more.items()}}
        now = dt.datetime.now(dt.UTC)
        headers = signed(method, path, "", headers, credentials=credentials, region="us-east-1", now=now)
        answer = pool.urlopen(method, path, body=body, headers=headers)
        assert answer.status == 200, answer.status
        return answer.data

    def one(file: Path) -> None:
        path = f"/{os.environ['BENCH_BUCKET']}/{prefix}/{file.name}-{file.parent.name}"
        data = file.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        ask("PUT", path, data, x_amz_checksum_sha256=checksum_of(sha256), if_none_match="*")
        assert hashlib.sha256(ask("GET", path, b"")).hexdigest() == sha256

    begun = time.perf_counter()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, files))
    return time.perf_counter() - begun


@frozen
class _Spool:
    folder: Path

    def new_file(self, size: int | None = None) -> Path:
        return self.folder / os.urandom(8).hex()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--store"]:
        print(store_and_read(Path(sys.argv[2]), sys.argv[3]))
    elif sys.argv[1:2] == ["--floor"]:
        print(bare_requests(Path(sys.argv[2]), sys.argv[3]))
    else:
        for row in run("--quick" in sys.argv):
            print(row)
