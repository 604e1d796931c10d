"""A whole program from folder to folder against ``rclone copy`` and ``rclone check --download``.

Both copy every byte and read both sides again. Ours also reads what the objects are, plans, keeps a ledger and a
manifest of every study, and proves the read-back by digests.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attrs import frozen
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from benchmarks import Row, interleave

MIB = 1 << 20
STUDIES, PER_STUDY, PIXEL_BYTES = 20, 100, 512 * 512 * 2
LARGE_FRAMES = 4096  # 512 x 512 x 2 bytes each: 2 GiB
WALL_RATIO = 1.5
# An installed package has its bytecode, whatever the shell says that runs this.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
PEAK_MIB = 250.0
PEAK_GROWTH = 1.10

PROGRAM = """\
[program]
name = "Benchmark"

[archives.old]
plugin = "files"
path = "{source}"

[archives.new]
plugin = "files"
path = "{target}"

[migration]
sources = ["old"]
target = "new"
verify = "hashed"

[[waves]]
name = "all"
"""


@frozen(kw_only=True)
class Usage:
    """What processes took, run in turn: the seconds of each, CPU seconds in all, and the largest one's memory."""

    steps: tuple[float, ...]
    cpu_seconds: float
    peak_mib: float

    @property
    def seconds(self) -> float:
        return sum(self.steps)


def run(quick: bool = False) -> list[Row]:
    memory = Path("/dev/shm")  # noqa: S108 - the files stay in memory so that the disk is not measured
    with tempfile.TemporaryDirectory(prefix="files-to-files-", dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        many, large = folder / "many", folder / "large"
        build_many(many, studies=2 if quick else STUDIES)
        ours: list[Usage] = []
        peer: list[Usage] = []

        def our_seconds() -> float:
            ours.append(migrate(many, folder))
            return ours[-1].seconds

        def peer_seconds() -> float:
            peer.append(rclone(many, folder))
            return peer[-1].seconds

        compared = interleave(our_seconds, peer_seconds, pairs=3 if quick else 7)
        size = sum(path.stat().st_size for path in many.rglob("*.dcm"))
        shutil.rmtree(many)
        build_large(large, frames=LARGE_FRAMES // 16 if quick else LARGE_FRAMES)
        large_size = next(large.iterdir()).stat().st_size
        large_peak = migrate(large, folder).peak_mib
    peak = max(usage.peak_mib for usage in ours)
    cpu, peer_cpu = (statistics.median(usage.cpu_seconds for usage in usages) for usages in (ours, peer))
    return [
        Row(
            name=f"files to files, {size / 1e9:.2g} GB of CT",
            ours=compared.ours,
            peer=compared.peer,
            unit="s",
            ratio=compared.ratio,
            target=f"<= {WALL_RATIO}",
            reached=compared.ratio <= WALL_RATIO,
            note=f"inventory, plan and transfer; CPU {cpu:.1f} s, peer {peer_cpu:.1f} s; "
            f"peer: rclone copy + check --download; {compared.interval}",
        ),
        Row(
            name="files to files, peak memory",
            ours=peak,
            unit="MiB",
            target=f"<= {PEAK_MIB:.0f} MiB",
            reached=peak <= PEAK_MIB,
            note="largest process of each run, the most of all runs",
        ),
        Row(
            name=f"files to files, peak memory with one object of {large_size / 1e9:.2g} GB",
            ours=large_peak,
            peer=peak,
            unit="MiB",
            ratio=large_peak / peak,
            target=f"<= {PEAK_GROWTH:.2f}",
            reached=large_peak <= PEAK_GROWTH * peak,
            note="peer: ours with small objects",
        ),
    ]


def migrate(source: Path, folder: Path) -> Usage:
    """A new program moves ``source`` into an empty store. Making the program is not part of the time."""
    program, target = folder / "program", folder / "target"
    program.mkdir()
    target.mkdir()  # a store that is not there could be a share that is not mounted, so the software makes none
    (program / "program.toml").write_text(PROGRAM.format(source=source, target=target))
    verb = [sys.executable, "-m", "vna_lifecycle"]
    where = ["--program", str(program)]
    try:
        measure([*verb, "init", str(program)])
        usage = measure([*verb, "run", *where])
        assert_same_bytes(source, target)
    finally:
        shutil.rmtree(program, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
    return usage


def rclone(source: Path, folder: Path) -> Usage:
    """The peer, with its settings as they come."""
    target = folder / "target"
    places = [str(source), str(target)]
    try:
        return measure(["rclone", "copy", *places], ["rclone", "check", "--download", *places])
    finally:
        shutil.rmtree(target, ignore_errors=True)


def measure(*commands: list[str], **environment: str) -> Usage:
    """Run commands in turn, with more in their environment.

    The peak is what the kernel counted for each process, and for those it waited for.
    """
    steps, cpu, peak = [], 0.0, 0.0
    for command in commands:
        begun = time.perf_counter()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**ENVIRONMENT, **environment}
            )
            _, status, usage = os.wait4(process.pid, 0)
            steps.append(time.perf_counter() - begun)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                output.seek(0)
                said = output.read().decode(errors="replace")
                raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{said}")
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss / 1024)
    return Usage(steps=tuple(steps), cpu_seconds=cpu, peak_mib=peak)


def assert_same_bytes(source: Path, target: Path) -> None:
    """A run that moved less than everything measures nothing."""
    here = sorted(path.stat().st_size for path in source.rglob("*.dcm"))
    there = sorted(path.stat().st_size for path in target.rglob("*.dcm"))
    if here != there:
        raise RuntimeError(
            f"the target has {len(there)} objects of {sum(there):,} bytes, not {len(here)} of {sum(here):,}"
        )


def build_many(folder: Path, *, studies: int) -> None:
    """CT studies of 100 objects, 0.5 MB each, all different."""
    for study in range(studies):
        place = folder / f"study-{study:02d}"
        place.mkdir(parents=True)
        for number in range(PER_STUDY):
            uid = f"2.25.{10**30 + study * 1000 + number}"
            dataset = header(uid, study=study, number=number, sop_class=CTImageStorage)
            with (place / f"{number:04d}.dcm").open("wb") as file:
                file.write(before_pixels(dataset, PIXEL_BYTES))
                file.write(os.urandom(PIXEL_BYTES))


def build_large(folder: Path, *, frames: int) -> None:
    """One object of many frames."""
    folder.mkdir()
    dataset = header(f"2.25.{2 * 10**30}", study=99, number=1, sop_class=EnhancedCTImageStorage)
    dataset.NumberOfFrames = frames
    with (folder / "large.dcm").open("wb") as file:
        file.write(before_pixels(dataset, frames * PIXEL_BYTES))
        for _ in range(frames):
            file.write(os.urandom(PIXEL_BYTES))


def header(uid: str, *, study: int, number: int, sop_class: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UID(sop_class)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID(uid)
    dataset.StudyInstanceUID = f"2.25.{3 * 10**30 + study}"
    dataset.SeriesInstanceUID = f"2.25.{4 * 10**30 + study}"
    dataset.StudyDate, dataset.StudyTime, dataset.Modality = "20240229", "101500", "CT"
    dataset.PatientName, dataset.PatientID, dataset.IssuerOfPatientID = f"Bench^{study}", f"B{study:05d}", "BENCH"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.AccessionNumber, dataset.StudyID, dataset.StudyDescription = f"A{study:05d}", str(study), "Benchmark"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = 512
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    return dataset


def before_pixels(dataset: Dataset, length: int) -> bytes:
    """The file up to and including the head of Pixel Data (7FE0,0010), OW, of that length (PS3.5 7.1.2)."""
    buffer = DicomBytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue() + b"\xe0\x7f\x10\x00OW\x00\x00" + length.to_bytes(4, "little")


if __name__ == "__main__":
    for row in run("--quick" in sys.argv):
        print(row)
