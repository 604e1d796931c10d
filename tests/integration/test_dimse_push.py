"""A source that nobody can pull from: its operator sends, and the inventory says what is missing."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from peers.dicom import ENVIRONMENT, OURS, Running, fill, folder_for_peer, free_port, program, run_dcmqrscp, section
from vna_lifecycle.adapters.dimse.archive import open_archive
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.ports import Fetched, FetchFailure
from vna_lifecycle.program import Program
from vna_lifecycle.testing.conformance import FolderSpool, site
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

SPECS = [
    ObjectSpec(study=study, instance=instance, patient_id=f"P{study}", grey=instance)
    for study in (1, 2)
    for instance in (1, 2, 3)
]
EDITED = ObjectSpec(study=1, instance=2, patient_id="P1", grey=99)
CONFIG = """
[program]
name = "pushed"
[archives.new]
plugin = "files"
path = "new"
[migration]
sources = ["old"]
target = "new"
[execution]
reserve_bytes = 0
"""


def written(folder: Path, specs: Sequence[ObjectSpec]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for spec in specs:
        paths.append(folder / f"{spec.study}-{spec.instance}-{spec.grey}.dcm")
        paths[-1].write_bytes(dicom_bytes(spec))
    return paths


def send(port: int, paths: Sequence[Path], title: str = "QR") -> None:
    """What the archive's operator does, with dcmtk's storescu."""
    command = [program("storescu"), "-aet", title, "-aec", OURS, "127.0.0.1", str(port), *map(str, paths)]
    subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True, timeout=60)


@pytest.fixture
def source() -> Iterator[Running]:
    with folder_for_peer() as folder, run_dcmqrscp(folder, ours=free_port()) as peer:
        fill(peer, SPECS)
        yield peer


def settings(peer: Running, quiet: float = 1.0) -> DimseSettings:
    return DimseSettings(
        host=peer.host,
        port=peer.port,
        ae_title=peer.title,
        calling_ae_title=OURS,
        retrieve="push",
        listen_host="127.0.0.1",
        listen_port=peer.ours,
        push_quiet_seconds=quiet,
    )


def program_on(source: Running, tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    folder.mkdir()
    old = section(
        "old",
        port=source.port,
        ae_title=source.title,
        retrieve="push",
        listen_port=source.ours,
        push_quiet_seconds=1.0,
    )
    (folder / "program.toml").write_text(CONFIG + old)
    (folder / "new").mkdir()
    Program.init(folder)
    return folder


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "archives" / "old" / "arrivals").iterdir())


def test_what_was_sent_is_moved_and_what_was_not_is_a_finding_until_it_is(source: Running, tmp_path: Path) -> None:
    folder = program_on(source, tmp_path)
    with Program.open(folder) as opened:
        (inventory,) = opened.take_inventory()
        assert (inventory.studies, inventory.instances) == (2, 6)
        opened.plan()
        paths = written(tmp_path / "sent", SPECS)
        send(source.ours, paths[:5])
        result = opened.transfer("all")
        assert (result.transferred, result.incomplete) == (1, 1)
        found = opened.findings("all")
        assert [(line.kind, line.severity, line.subjects) for line in found] == [
            ("not-fetched-not-sent-to-us", "blocker", 1)
        ]
        assert opened.evidence(found[0]).subjects == (SPECS[5].sop_instance_uid,)
    with Program.open(folder) as opened:  # what arrived before is still there
        opened.archive("old")
        send(source.ours, paths[5:])
        result = opened.transfer("all", retry=True)
        assert (result.outcome, result.transferred) == ("complete", 2)
        assert opened.findings("all") == []
        assert kept(folder) == []  # what was moved is not kept any longer
        send(source.ours, [*written(tmp_path / "sent", SPECS[:1]), *written(tmp_path / "edited", [EDITED])])
        assert len(kept(folder)) == 2
        opened.transfer("all")  # as a run does that comes after a crash between the record and the removal
        assert [scan_file(path).instance_number for path in kept(folder)] == [2]  # other bytes: nobody has moved them


def test_what_is_not_transferred_is_kept(source: Running, tmp_path: Path) -> None:
    folder = program_on(source, tmp_path)
    with Program.open(folder) as opened:
        opened.take_inventory()
        opened.plan()
        send(source.ours, written(tmp_path / "sent", SPECS[:5]))
        assert opened.transfer("all").transferred == 1
        assert sorted(scan_file(path).sop_instance_uid for path in kept(folder)) == [
            spec.sop_instance_uid for spec in SPECS[3:5]
        ]


def test_what_was_sent_and_is_not_listed_is_a_finding(source: Running, tmp_path: Path) -> None:
    folder = program_on(source, tmp_path)
    strangers = [ObjectSpec(study=9, patient_id="P9"), ObjectSpec(study=1, instance=9, patient_id="P1")]
    with Program.open(folder) as opened:
        opened.archive("old")
        send(source.ours, written(tmp_path / "sent", [*SPECS, *strangers]))
        (inventory,) = opened.take_inventory()
        assert (inventory.studies, inventory.instances, inventory.refused) == (2, 6, 2)
        opened.plan()
        assert opened.transfer("all").transferred == 2
        assert len(kept(folder)) == 2
        opened.accept("all")
        (found,) = [line for line in opened.findings() if line.kind == "objects-unexpected"]
        assert (found.severity, found.subjects) == ("warning", 2)
        told = {scan_file(path).sop_instance_uid for path in opened.evidence(found).subjects}
        assert told == {stranger.sop_instance_uid for stranger in strangers}


def test_what_was_moved_and_is_not_sent_again_does_not_count_as_gone(source: Running, tmp_path: Path) -> None:
    folder = program_on(source, tmp_path)
    with Program.open(folder) as opened:
        opened.take_inventory()
        opened.plan()
        send(source.ours, written(tmp_path / "sent", SPECS))
        assert opened.transfer("all").transferred == 2
        opened.take_inventory()
        (result,) = opened.catch_up(sample=1)
        assert (result.differing, result.unknown, result.sampled) == (0, 0, 1)
        assert [(line.kind, line.subjects) for line in opened.findings("all")] == [("not-compared", 3)]


def test_a_fetch_waits_for_what_is_on_its_way(source: Running, tmp_path: Path) -> None:
    archive = open_archive(settings(source, quiet=20.0), site(tmp_path))
    study = StudyRef(study_uid=SPECS[0].study_uid)
    wanted = list(archive.reads.list_instances(study))
    assert len(wanted) == 3
    paths = written(tmp_path / "sent", SPECS[:3])
    sender = threading.Timer(0.5, send, (source.ours, paths))
    sender.start()
    items = list(archive.reads.fetch(study, wanted, FolderSpool(tmp_path / "spool")))
    sender.join()
    assert all(isinstance(item, Fetched) for item in items)
    assert sorted(item.record.sop_instance_uid for item in items) == [spec.sop_instance_uid for spec in SPECS[:3]]
    assert archive.stores is None
    assert archive.commits is None
    archive.reads.close()


def test_an_object_sent_twice_counts_once_and_two_objects_of_one_name_count_for_none(
    source: Running, tmp_path: Path
) -> None:
    archive = open_archive(settings(source), site(tmp_path))
    study = StudyRef(study_uid=SPECS[0].study_uid)
    wanted = list(archive.reads.list_instances(study))
    paths = written(tmp_path / "sent", SPECS[:3])
    send(source.ours, paths)
    send(source.ours, paths)
    other = ObjectSpec(study=1, instance=2, patient_id="P1", grey=99)
    send(source.ours, written(tmp_path / "other", [other]))
    items = {
        item.record.sop_instance_uid: item
        for item in archive.reads.fetch(study, wanted, FolderSpool(tmp_path / "spool"))
    }
    assert len(items) == 3
    doubtful = items.pop(other.sop_instance_uid)
    assert isinstance(doubtful, FetchFailure)
    assert (doubtful.code, doubtful.transient) == ("several-contents-sent", False)
    assert all(isinstance(item, Fetched) for item in items.values())
    archive.reads.close()


def test_others_than_the_archive_may_not_send(source: Running, tmp_path: Path) -> None:
    archive = open_archive(settings(source), site(tmp_path))
    with pytest.raises(subprocess.CalledProcessError):
        send(source.ours, written(tmp_path / "sent", SPECS[:1]), title="STRANGER")
    assert list((tmp_path / "workspace" / "arrivals").iterdir()) == []
    archive.reads.close()
