"""What ``check`` and ``profile`` tell of archives that speak DIMSE: what they can do, and why they will not have us."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import evolve

from peers.dicom import OURS, Running, fill, folder_for_peer, free_port, run_dcmqrscp, run_orthanc, section
from vna_lifecycle.adapters.dimse.archive import open_archive
from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.cli import main
from vna_lifecycle.model.inventory import StudyRecord
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.misbehaving_pacs import Faults, MisbehavingPacs
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

STUDIES = 4
SPECS = [
    ObjectSpec(study=study, instance=instance, patient_id=f"PAT{study}", study_date=f"2024022{study}", grey=instance)
    for study in range(1, STUDIES + 1)
    for instance in (1, 2)
]


@pytest.fixture(scope="module")
def orthanc() -> Iterator[Running]:
    with folder_for_peer() as folder, run_orthanc(folder, ours=free_port()) as peer:
        fill(peer, SPECS)
        yield peer


@pytest.fixture(scope="module")
def dcmqrscp() -> Iterator[Running]:
    with folder_for_peer() as folder, run_dcmqrscp(folder, ours=free_port()) as peer:
        fill(peer, SPECS)
        yield peer


def checked(folder: Path, capsys: pytest.CaptureFixture[str], peer: Running, *more: str, **changes: object) -> str:
    """What check prints of an archive; it must end with the code 0, or 3 where it is not opened."""
    settings: dict[str, Any] = {
        "port": peer.port,
        "ae_title": peer.title,
        "listen_port": peer.ours,
        "settle_seconds": 1.0,
        "attempts": 1,
        **changes,
    }
    expected = settings.pop("expect", 0)
    (folder / "there").mkdir(exist_ok=True)
    (folder / "program.toml").write_text(
        '[program]\nname = "x"\n[migration]\nsources = ["old"]\ntarget = "new"\n[archives.new]\nplugin = "files"\n'
        'path = "there"\n' + section("old", **settings)
    )
    if not (folder / "ledger.db").exists():
        main(["init", str(folder)])
        capsys.readouterr()
    assert main(["check", "--program", str(folder), *more]) == expected
    return capsys.readouterr().out


def test_check_tells_what_orthanc_can_do(orthanc: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = checked(tmp_path, capsys, orthanc)
    for line in (
        "queries and retrievals that it accepts: study root C-FIND, patient root C-FIND, C-MOVE, C-GET",
        "storage commitment: accepted",
        f"answers to one query: {STUDIES} studies, not cut short",
        "wild cards in queries: honoured",
        "upper and lower case in queries for names: not told apart",
        "objects of a study that the archive tells: as listed",
        "encoding in which an object was served: Explicit VR Little Endian",
        "the same object, retrieved twice: the same bytes",
    ):
        assert f"    {line}\n" in said, said
    assert "encodings in which a CT image may be stored: 17 of 20 accepted; refused: High-Throughput JPEG 2000" in said
    assert re.search(r"answer to a C-ECHO: [0-9.e+]+ ms", said)
    assert re.search(r"answer to a query for the objects of a series: [0-9.e+]+ ms", said)
    assert re.search(
        r"rate of a retrieval: [0-9.e+-]+ MB/s, measured with 2 objects of ", said
    )  # of a study that has no more
    assert re.search(r"associations side by side, before it slows: [1-8] associations, measured with retrievals", said)
    assert "PAT1" not in said


def test_check_tells_what_dcmqrscp_cannot_do(
    dcmqrscp: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = checked(tmp_path, capsys, dcmqrscp, associations=1)
    assert "    storage commitment: not accepted: leave commitment = false\n" in said
    assert "    upper and lower case in queries for names: told apart\n" in said
    found = re.search(r"encodings in which a CT image may be stored: 3 of 20 accepted; refused: (.*)\n", said)
    assert found is not None
    assert "JPEG 2000 Image Compression (Lossless Only)" in found[1]
    assert re.search(r"kinds of object that may be stored: \d+ of \d+ accepted; refused: ", said)


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"ae_title": "WRONG"}, "does not recognise the called AE title", "compared letter by letter"),
        ({"port": "closed"}, r"cannot be reached at 127\.0\.0\.1:\d+: Connection refused", "that the archive runs"),
        ({"tls": True, "retrieve": "get"}, "TLS connection|agreeing to TLS", "uses TLS on this port"),
    ],
    ids=["wrong AE title", "closed port", "TLS against a plain port"],
)
def test_check_tells_why_an_archive_will_not_have_us_and_what_to_do(
    dcmqrscp: Running,
    orthanc: Running,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    message: str,
    hint: str,
) -> None:
    for peer in (dcmqrscp, orthanc):
        here = {key: free_port() if value == "closed" else value for key, value in changes.items()}
        said = checked(tmp_path, capsys, peer, expect=3, **here)
        assert re.search(message, said), said
        assert hint in said


def test_a_cap_and_false_counts_are_noticed(tmp_path: Path) -> None:
    """An archive that ends every answer after three studies, without saying so, and counts wrongly."""
    specs = [
        ObjectSpec(study=study, patient_id=f"PAT{study}", study_date=f"2024022{study}", instance=1)
        for study in range(1, 7)
    ]
    with MisbehavingPacs([dicom_bytes(spec) for spec in specs], Faults(cap=3, miscount=1, new_uids=True)) as pacs:
        settings = DimseSettings(host="127.0.0.1", port=pacs.port, ae_title=pacs.title, retrieve="get")
        archive = open_archive(settings, site(tmp_path))
        assert archive.probes is not None
        seen = {item.name: item.value for item in archive.probes.probe()}
        archive.reads.close()
    assert seen["answers-to-one-query"] == "cut short at 3 studies: narrower queries show more"
    assert seen["counts"] == "not those of the image level in 3 of 3 studies"
    assert seen["two-retrievals"].startswith("an object cannot be retrieved: objects with other UIDs came")


def test_a_busy_archive_is_told_by_how_many_associations_it_bears(tmp_path: Path) -> None:
    """The archive has no association left for the second one at a time. Later work keeps to what was measured."""
    with MisbehavingPacs([dicom_bytes(ObjectSpec())]) as pacs:
        settings = DimseSettings(host="127.0.0.1", port=pacs.port, ae_title=pacs.title, retrieve="get", attempts=1)
        archive = open_archive(settings, site(tmp_path))
        assert archive.probes is not None
        seen = {}
        for item in archive.probes.probe():
            seen[item.name] = item.value
            if item.name == "two-retrievals":
                pacs.faults = Faults(reject=(2, 3, 2))
        archive.reads.close()
    assert seen["two-retrievals"] == "the same bytes"
    assert (seen["side-by-side"], seen["associations-refused"]) == ("1", "2")
    assert Caller(settings, site(tmp_path)).slots.most == 1
    assert Caller(evolve(settings, associations=3), site(tmp_path)).slots.most == 3


def test_a_cap_that_was_noticed_keeps_later_inventories_from_trusting_answers_of_that_length(tmp_path: Path) -> None:
    """A cap below what the settings trust hides studies of an inventory, until the archive was looked at."""
    specs = [
        ObjectSpec(study=study, patient_id=f"PAT{study}", study_date=f"202402{study:02}") for study in range(1, 13)
    ]
    with MisbehavingPacs([dicom_bytes(spec) for spec in specs], Faults(cap=10)) as pacs:
        settings = DimseSettings(host="127.0.0.1", port=pacs.port, ae_title=pacs.title, retrieve="get")
        counts = []
        for _ in range(2):
            archive = open_archive(settings, site(tmp_path))
            found = [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]
            counts.append(len({item.study_uid for item in found if isinstance(item, StudyRecord)}))
            assert archive.probes is not None
            list(archive.probes.probe())
            archive.reads.close()
    assert counts == [10, 12]


def test_a_cap_that_an_inventory_found_is_on_record_and_the_next_one_begins_with_narrower_windows(
    tmp_path: Path,
) -> None:
    specs = [
        ObjectSpec(
            study=study,
            patient_id=f"PAT{study}",
            study_date=f"20{study % 2 + 10}{study % 12 + 1:02}{study % 28 + 1:02}",
        )
        for study in range(1, 81)
    ]
    with MisbehavingPacs([dicom_bytes(spec) for spec in specs], Faults(cap=30)) as pacs:
        settings = DimseSettings(
            host="127.0.0.1",
            port=pacs.port,
            ae_title=pacs.title,
            retrieve="get",
            studies_per_part=70,
            trusted_answers=5,
        )
        counts, windows = [], []
        for _ in range(2):
            archive = open_archive(settings, site(tmp_path))
            pacs.asked.clear()
            parts = list(archive.reads.parts())
            windows.append(len(pacs.asked))
            found = [item for part in parts for item in archive.reads.inventory(part)]
            counts.append(len({item.study_uid for item in found if isinstance(item, StudyRecord)}))
            archive.reads.close()
        archive = open_archive(settings, site(tmp_path))
        assert archive.probes is not None
        seen = {item.name: (item.value, item.unit) for item in archive.probes.probe()}
        archive.reads.close()
    assert counts == [80, 80]
    assert windows[1] < windows[0]
    assert seen["answer-cap"] == ("30", "studies")


CANARIES = 9


@pytest.mark.parametrize("retrieve", ["move", "get"])
def test_canaries_show_what_an_archive_changes_and_are_stored_once(
    tmp_path: Path, retrieve: Literal["move", "get"]
) -> None:
    with folder_for_peer() as folder, run_orthanc(folder, ours=free_port()) as peer:
        settings = DimseSettings(
            host=peer.host,
            port=peer.port,
            ae_title=peer.title,
            calling_ae_title=OURS,
            canaries=True,
            retrieve=retrieve,
            listen_host="127.0.0.1",
            listen_port=peer.ours,
        )
        told = []
        for _ in range(2):
            archive = open_archive(settings, site(tmp_path))
            assert archive.probes is not None
            told.append([item.value for item in archive.probes.probe() if item.name.startswith("canar")])
            archive.reads.close()
        assert len(peer.get("/instances")) == CANARIES  # type: ignore[arg-type]
    assert told[0] == told[1]
    assert "nothing peculiar: served with the same bytes" in told[0]
    assert told[0][-1].startswith(f"{CANARIES} synthetic objects, of the patient VNALIFECYCLE-CANARY")
    re_encoded = "re-encoded (sequence-lengths), alike in header and pixels, as 1.2.840.10008.1.2.1"
    assert f"sequence of undefined length: {re_encoded}" in told[0]  # so Orthanc does


def test_a_coercion_and_a_loss_are_told_by_attribute(tmp_path: Path) -> None:
    with MisbehavingPacs([], Faults(coerced={"AccessionNumber": "X"})) as pacs:
        settings = DimseSettings(host="127.0.0.1", port=pacs.port, ae_title=pacs.title, retrieve="get", canaries=True)
        archive = open_archive(settings, site(tmp_path))
        assert archive.probes is not None
        told = [item.value for item in archive.probes.probe() if item.name == "canary"]
        archive.reads.close()
    assert any(value.startswith("nothing peculiar: changed: AccessionNumber") for value in told)


def test_no_canary_is_stored_unless_that_is_wanted(tmp_path: Path) -> None:
    with MisbehavingPacs([]) as pacs:
        settings = DimseSettings(host="127.0.0.1", port=pacs.port, ae_title=pacs.title, retrieve="get")
        archive = open_archive(settings, site(tmp_path))
        assert archive.probes is not None
        list(archive.probes.probe())
        archive.reads.close()
        assert pacs.held() == ()
