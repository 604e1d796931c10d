"""Programs between two archives that other people wrote, over DIMSE in both directions."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, SecondaryCaptureImageStorage

from peers.dicom import Running, fill, folder_for_peer, free_port, run_dcmqrscp, run_orthanc, section
from vna_lifecycle.adapters.dimse.canary_objects import Canary, canaries
from vna_lifecycle.adapters.dimse.wire import Context, Outgoing, StoreAnswer, request, store
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.program import Program
from vna_lifecycle.testing.objects import ObjectSpec

pytestmark = pytest.mark.peer

STUDIES, PER_STUDY = 4, 5
SPECS = [
    ObjectSpec(
        study=study,
        instance=instance,
        patient_id=f"P{study}",
        grey=instance,
        study_date="" if study == STUDIES else f"2024022{study}",
    )
    for study in range(1, STUDIES + 1)
    for instance in range(1, PER_STUDY + 1)
]
REST = """
[program]
name = "over DIMSE"
[migration]
sources = ["old"]
target = "new"
verify = "{verify}"
[execution]
workers = 2
reserve_bytes = 0
"""


def fill_peculiar(peer: Running, folder: Path) -> dict[str, Canary]:
    """Objects with one peculiarity each, every one sent in its own syntax; by SOP Instance UID."""
    by_syntax: dict[str, list[Outgoing]] = {}
    made = {canary.sop_instance_uid: canary for canary in canaries("here")}
    for number, (uid, canary) in enumerate(made.items()):
        path = folder / f"{number}.dcm"
        path.write_bytes(canary.file())
        item = Outgoing(path=path, sop_class_uid=SecondaryCaptureImageStorage, sop_instance_uid=SOPInstanceUID(uid))
        by_syntax.setdefault(canary.transfer_syntax, []).append(item)
    for syntax, objects in by_syntax.items():
        context = Context(abstract_syntax=SecondaryCaptureImageStorage, transfer_syntaxes=(syntax,))
        with request(peer.peer(), [context]) as association:
            answers = [answer for _, answer in store(association, objects)]
        assert all(isinstance(answer, StoreAnswer) and answer.status == 0 for answer in answers)
    return made


def group_lengths(file: Path) -> int:
    """How many group lengths pydicom finds in a file's data set."""
    return sum(element.tag.element == 0 for element in pydicom.dcmread(file, force=True))


def reached(name: str, peer: Running, retrieve: str) -> str:
    return section(
        name,
        port=peer.port,
        ae_title=peer.title,
        retrieve=retrieve,
        listen_port=peer.ours,
        settle_seconds=1.0,
        associations=1 if peer.title == "QR" else 4,  # dcmqrscp loses objects that come in parallel
    )


@pytest.mark.parametrize("retrieve", ["move", "get"])
@pytest.mark.parametrize("forth", [True, False], ids=["orthanc-to-dcmqrscp", "dcmqrscp-to-orthanc"])
def test_a_wave_is_moved_and_read_back_byte_for_byte(tmp_path: Path, retrieve: str, forth: bool) -> None:
    """Both archives share our one port; undated studies move too, and every object is read back at hashed."""
    ours = free_port()
    with (
        folder_for_peer() as first,
        folder_for_peer() as second,
        run_orthanc(first, ours=ours) as orthanc,
        run_dcmqrscp(second, ours=ours, options=("+B",)) as dcmqrscp,
    ):
        old, new = (orthanc, dcmqrscp) if forth else (dcmqrscp, orthanc)
        fill(old, SPECS)
        folder = tmp_path / "program"
        folder.mkdir()
        rest = REST.format(verify="hashed")
        (folder / "program.toml").write_text(rest + reached("old", old, retrieve) + reached("new", new, retrieve))
        Program.init(folder)
        with Program.open(folder) as program:
            (inventory,) = program.take_inventory()
            assert (inventory.studies, inventory.instances, inventory.refused) == (STUDIES, STUDIES * PER_STUDY, 0)
            program.plan()
            for wave in program.status().waves:
                program.transfer(wave.name)
            assert [dict(wave.states) for wave in program.status().waves] == [{"transferred": STUDIES}]


@pytest.mark.parametrize("retrieve", ["move", "get"])
@pytest.mark.parametrize("forth", [True, False], ids=["orthanc-to-dcmqrscp", "dcmqrscp-to-orthanc"])
def test_what_an_archive_re_encodes_is_read_back_as_equivalent_and_each_difference_explained_by_its_class(
    tmp_path: Path, retrieve: str, forth: bool
) -> None:
    """dcmqrscp writes group lengths and serves explicit VR little endian; Orthanc compresses what comes."""
    ours = free_port()
    compressing = {} if forth else {"IngestTranscoding": str(JPEGLSLossless)}
    with (
        folder_for_peer() as first,
        folder_for_peer() as second,
        run_orthanc(first, ours=ours, settings=compressing) as orthanc,
        run_dcmqrscp(second, ours=ours, options=("+g",)) as dcmqrscp,
    ):
        old, new = (orthanc, dcmqrscp) if forth else (dcmqrscp, orthanc)
        made = fill_peculiar(old, tmp_path)
        folder = tmp_path / "program"
        folder.mkdir()
        rest = REST.format(verify="equivalent")
        (folder / "program.toml").write_text(rest + reached("old", old, retrieve) + reached("new", new, retrieve))
        Program.init(folder)
        with Program.open(folder) as program:
            program.take_inventory()
            program.plan()
            assert program.transfer("all").outcome == "complete"
            [line] = [line for line in program.findings() if line.check == "transfer"]
            found = program.evidence(line)
            assert program.verify_ledger(deep=True).ok
        written = [group_lengths(file) for file in dcmqrscp.folder.iterdir() if file.name != "index.dat"]
        assert len(written) == len(made)
        assert all(count > 4 for count in written)
    assert (line.kind, line.severity) == ("re-encoded-at-target", "note")
    plain = "group-lengths" if forth else "transfer-syntax, group-lengths"
    assert dict(found.details) == {
        uid: plain if canary.transfer_syntax == ExplicitVRLittleEndian else "transfer-syntax, group-lengths"
        for uid, canary in made.items()
    }
