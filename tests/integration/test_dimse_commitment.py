"""Storage commitment with archives that answer on the association of the request, on one of their own, or never."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from peers.dicom import OURS, Running, dcmqrscp, folder_for_peer, free_port, local, run_orthanc, section
from vna_lifecycle.adapters.dimse.archive import open_archive
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.adapters.dimse.wire import (
    COMMITMENT_PUSH,
    UNCOMPRESSED,
    Context,
    Reference,
    ask_commitment,
    await_report,
    request,
)
from vna_lifecycle.errors import ArchiveRefused
from vna_lifecycle.model.event import CommitmentAnswered
from vna_lifecycle.model.identity import AETitle, SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import Digest, Manifest, ManifestEntry
from vna_lifecycle.ports import Archive, CommitsStorage, Done, Receipt, StoreFailure
from vna_lifecycle.program import Program
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

__all__ = ["dcmqrscp"]

pytestmark = pytest.mark.peer

INSTANCE = "1.2.840.10008.1.20.1.1"
UIDS = [f"1.2.3.{number}" for number in (1, 2, 3)]
ABSENT = UIDS[1]


class Committer:
    """A storage commitment provider of pynetdicom. ``where`` it reports: the ``same`` association, ``another``, none.

    It has everything but ``ABSENT``, and says nothing of ``forgets``.
    """

    def __init__(self, where: str, ours: int) -> None:
        self.where, self.ours = where, ours
        self.forgets: set[str] = set()
        self.asked: list[str] = []
        self.taken: list[int] = []
        self.threads: list[threading.Thread] = []
        entity = AE(ae_title="COMMITTER")
        entity.add_supported_context(Verification)
        entity.add_supported_context(StorageCommitmentPushModel)
        handlers: list[Any] = [(evt.EVT_N_ACTION, self.act)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self.server.socket.getsockname()[1]

    def act(self, event: Any) -> tuple[int, None]:
        information = event.action_information
        self.asked.append(information.TransactionUID)
        if self.where:
            thread = threading.Thread(target=self.report, args=(event.assoc, information))
            self.threads.append(thread)
            thread.start()
        return 0x0000, None

    def report(self, association: Any, information: Dataset) -> None:
        report = Dataset()
        report.TransactionUID = information.TransactionUID
        report.ReferencedSOPSequence, report.FailedSOPSequence = [], []
        for item in information.ReferencedSOPSequence:
            if item.ReferencedSOPInstanceUID == ABSENT:
                item.FailureReason = 0x0112
                report.FailedSOPSequence.append(item)
            elif item.ReferencedSOPInstanceUID not in self.forgets:
                report.ReferencedSOPSequence.append(item)
        time.sleep(0.2)  # the answer to the request goes first
        if self.where == "another":
            entity = AE(ae_title="COMMITTER")
            entity.add_requested_context(StorageCommitmentPushModel)
            role = build_role(StorageCommitmentPushModel, scp_role=True)
            association = entity.associate("127.0.0.1", self.ours, ae_title=OURS, ext_neg=[role])
            assert association.is_established
        status, _ = association.send_n_event_report(report, 2, StorageCommitmentPushModel, INSTANCE)
        self.taken.append(status.Status)
        if self.where == "another":
            association.release()

    def wait(self) -> None:
        """Until every report is sent and answered."""
        for thread in self.threads:
            thread.join()

    def close(self) -> None:
        self.wait()
        self.server.shutdown()


@contextmanager
def committer(where: str) -> Iterator[Committer]:
    peer = Committer(where, free_port())
    try:
        yield peer
    finally:
        peer.close()


@contextmanager
def opened(peer: Committer, folder: Path, **settings: Any) -> Iterator[Archive]:
    archive = open_archive(
        DimseSettings(
            host="127.0.0.1",
            port=peer.port,
            ae_title="COMMITTER",
            calling_ae_title=OURS,
            commitment=True,
            listen_host="127.0.0.1",
            listen_port=peer.ours,
            **settings,
        ),
        site(folder),
    )
    try:
        yield archive
    finally:
        archive.reads.close()


def manifest() -> Manifest:
    entries = [
        ManifestEntry(
            sop_instance_uid=SOPInstanceUID(uid),
            series_uid=SeriesUID("1.2.3"),
            sop_class_uid=CTImageStorage,
            transfer_syntax=ExplicitVRLittleEndian,
            size=1,
            digest=Digest(dataset_sha256="", dataset_size=0, header_sha256="", pixel_sha256=""),
        )
        for uid in UIDS
    ]
    return Manifest(study_uid=StudyUID("1.2"), entries=tuple(entries))


def answer(commits: CommitsStorage, transaction: str, seconds: float = 10.0) -> Done:
    deadline = time.monotonic() + seconds
    while not isinstance(state := commits.poll(transaction, manifest()), Done):
        assert time.monotonic() < deadline, "there was no answer"
        time.sleep(0.05)
    return state


@pytest.mark.parametrize("where", ["same", "another"])
def test_an_answer_is_taken_on_either_association(tmp_path: Path, where: str) -> None:
    with committer(where) as peer, opened(peer, tmp_path) as archive:
        assert archive.commits is not None
        peer.forgets.add(UIDS[2])
        archive.commits.ask("1.2.9.1", manifest())
        first, absent, forgotten = answer(archive.commits, "1.2.9.1").results
        assert isinstance(first, Receipt)
        assert isinstance(absent, StoreFailure)
        assert (absent.sop_instance_uid, absent.code) == (ABSENT, "no-such-instance")
        assert "0112 (no such SOP instance)" in absent.message
        assert isinstance(forgotten, StoreFailure)
        assert forgotten.code == "not-mentioned"
        peer.wait()
        assert peer.taken == [0x0000]


def test_an_answer_to_a_request_of_an_earlier_run_is_taken(tmp_path: Path) -> None:
    """The archive asked is closed before the answer comes, and opened again."""
    with committer("") as peer:
        with opened(peer, tmp_path) as archive:
            assert archive.commits is not None
            archive.commits.ask("1.2.9.2", manifest())
        peer.where = "another"
        information = Dataset()
        information.TransactionUID = "1.2.9.2"
        items = []
        for uid in UIDS:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
            items.append(item)
        information.ReferencedSOPSequence = items
        with opened(peer, tmp_path) as archive:
            assert archive.commits is not None
            archive.commits.poll("1.2.9.2", manifest())  # listens
            peer.report(None, information)
            assert isinstance(answer(archive.commits, "1.2.9.2").results[0], Receipt)
            information.TransactionUID = "1.2.9.3"
            peer.report(None, information)
        assert peer.taken == [0x0000, 0x0110]  # nobody had asked for the other


def test_an_archive_that_does_no_storage_commitment_is_named(dcmqrscp: Running, tmp_path: Path) -> None:
    settings = DimseSettings(
        host=dcmqrscp.host,
        port=dcmqrscp.port,
        ae_title=dcmqrscp.title,
        calling_ae_title=OURS,
        commitment=True,
        retrieve="get",
        listen_host="127.0.0.1",
        listen_port=free_port(),
    )
    archive = open_archive(settings, site(tmp_path))
    assert archive.commits is not None
    with pytest.raises(ArchiveRefused, match="SOP class is not supported") as refusal:
        archive.commits.ask("1.2.9.4", manifest())
    assert refusal.value.archive == "archive"
    assert not refusal.value.transient
    archive.reads.close()


def test_an_association_is_of_use_after_waiting_in_vain(tmp_path: Path) -> None:
    """No report within the patience is no failure of the association: the same one is asked again."""
    contexts = [Context(abstract_syntax=COMMITMENT_PUSH, transfer_syntaxes=UNCOMPRESSED)]
    objects = [Reference(sop_class_uid=CTImageStorage, sop_instance_uid=UIDS[0])]
    with committer("") as peer:
        with request(local(peer.port, AETitle("COMMITTER")), contexts) as association:
            ask_commitment(association, "1.2.9.5", objects)
            assert await_report(association, 0.3) is None
            assert await_report(association, 60.0, enough=lambda: True) is None
            peer.where = "same"
            ask_commitment(association, "1.2.9.6", objects)
            report = await_report(association, 10.0)
        assert report is not None
        assert report.transaction == "1.2.9.6"
        assert [one.sop_instance_uid for one in report.committed] == UIDS[:1]
        assert peer.asked == ["1.2.9.5", "1.2.9.6"]


PROGRAM = """
[program]
name = "committed"
[archives.old]
plugin = "files"
path = "old"
[migration]
sources = ["old"]
target = "new"
[execution]
reserve_bytes = 0
"""


@pytest.mark.parametrize("hears", [True, False], ids=["Orthanc finds us", "Orthanc's report finds nobody"])
def test_a_program_waits_for_orthancs_commitment_and_goes_on_without_it(tmp_path: Path, hears: bool) -> None:
    ours = free_port()
    (tmp_path / "old").mkdir()
    for study in (1, 2):
        data = dicom_bytes(ObjectSpec(study=study, patient_id=f"P{study}"))
        (tmp_path / "old" / f"{study}.dcm").write_bytes(data)
    with folder_for_peer() as folder, run_orthanc(folder, ours=ours if hears else free_port()) as peer:
        new = section(
            "new",
            port=peer.port,
            ae_title=peer.title,
            retrieve="get",
            listen_port=ours,
            commitment=True,
            commitment_timeout=60.0 if hears else 1.0,
        )
        (tmp_path / "program.toml").write_text(PROGRAM + new)
        Program.init(tmp_path)
        with Program.open(tmp_path) as program:
            program.take_inventory()
            program.plan()
            result = program.transfer("all")
            assert (result.outcome, result.transferred) == ("complete", 2)
            events = [recorded.event for recorded in program.ledger.read(0, program.ledger.size())]
            found = [(line.kind, line.severity) for line in program.findings("all")]
    answers = [event for event in events if isinstance(event, CommitmentAnswered)]
    counts = [(answer.committed, answer.refused, answer.unanswered) for answer in answers]
    assert counts == ([(1, 0, 0)] * 2 if hears else [(0, 0, 1)] * 2)
    assert found == ([] if hears else [("not-committed-unanswered", "warning")] * 2)
