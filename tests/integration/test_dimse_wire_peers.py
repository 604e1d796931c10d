"""Every operation of the wire against dcmtk's archive and Orthanc."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from queue import Queue

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from peers.dicom import OURS, Gathering, Running, dcmqrscp, fill, orthanc, storescp
from vna_lifecycle.adapters.dimse.wire import (
    COMMITMENT_PUSH,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    UNCOMPRESSED,
    VERIFICATION,
    Admission,
    CommitmentReport,
    Context,
    Receiver,
    Reference,
    Service,
    ask_commitment,
    echo,
    find,
    get,
    move,
    request,
)
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.testing.objects import ObjectSpec

__all__ = ["dcmqrscp", "orthanc", "storescp"]

pytestmark = pytest.mark.peer

QUERY = [
    Context(abstract_syntax=uid, transfer_syntaxes=UNCOMPRESSED)
    for uid in (VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET)
]
CT_FROM_PEER = Context(abstract_syntax=CTImageStorage, transfer_syntaxes=(ExplicitVRLittleEndian,), scp_role=True)
STUDIES, PER_STUDY = 6, 5


@pytest.fixture(scope="module", params=["dcmqrscp", "orthanc"])
def archive(request: pytest.FixtureRequest) -> Running:
    """An archive that holds some small studies."""
    peer: Running = request.getfixturevalue(request.param)
    fill(peer, specs())
    return peer


def specs() -> list[ObjectSpec]:
    pairs = itertools.product(range(1, STUDIES + 1), range(1, PER_STUDY + 1))
    return [ObjectSpec(study=study, instance=instance, patient_id=f"P{study}") for study, instance in pairs]


LEVEL, PATIENT, STUDY, SERIES, INSTANCE = 0x00080052, 0x00100020, 0x0020000D, 0x0020000E, 0x00080018


def keys(*, level: str = "STUDY", patient: str = "", study: str = "") -> dict[int, str]:
    return {LEVEL: level, PATIENT: patient, STUDY: study}


def receiver(peer: Running, sink: Gathering, reports: Queue[CommitmentReport] | None = None) -> Receiver:
    admission = Admission(
        title=OURS,
        transfer_syntaxes=lambda uid: (
            UNCOMPRESSED if uid in (VERIFICATION, COMMITMENT_PUSH) else (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
        ),
        callers={peer.title: frozenset()},
    )
    service = Service(admission=admission, sink=sink, report=reports.put if reports else None)
    return Receiver(service, port=peer.ours)


def test_an_archive_answers_an_echo(archive: Running) -> None:
    with request(archive.peer(), QUERY) as association:
        for _ in range(3):
            echo(association)


def test_queries_on_one_association_get_all_of_their_answers(archive: Running) -> None:
    with request(archive.peer(), QUERY) as association:
        for _ in range(100):
            found = list(find(association, keys(patient="")))
            assert sorted(one.read().text(PATIENT) for one in found) == [f"P{n}" for n in range(1, STUDIES + 1)]
            [study] = find(association, keys(patient="P3"))
            assert study.read().text(STUDY) == ObjectSpec(study=3).study_uid
            series = {SERIES: ObjectSpec(study=2).series_uid, INSTANCE: ""}
            asked = keys(level="IMAGE", study=ObjectSpec(study=2).study_uid) | series
            instances = list(find(association, asked))
            assert len({one.read().text(INSTANCE) for one in instances}) == len(instances) == PER_STUDY


def test_a_query_without_matches_is_empty(archive: Running) -> None:
    with request(archive.peer(), QUERY) as association:
        assert list(find(association, keys(patient="NOBODY"))) == []


def test_a_query_that_is_left_is_cancelled_and_the_next_one_is_answered(archive: Running) -> None:
    with request(archive.peer(), QUERY) as association:
        for _ in range(5):
            for first in find(association, keys(patient="")):
                assert first.read().text(PATIENT)
                break
            assert len(list(find(association, keys(patient="")))) == STUDIES


def test_objects_are_moved_to_our_receiver_and_can_be_told_by_their_originator(
    archive: Running, tmp_path: Path
) -> None:
    sink = Gathering(tmp_path)
    with receiver(archive, sink), request(archive.peer(), QUERY) as association:
        for study in (2, 4):
            responses = list(
                move(association, keys(study=ObjectSpec(study=study).study_uid), OURS, message_id=700 + study)
            )
            assert responses[-1].final
            assert responses[-1].status == 0
            assert responses[-1].completed == PER_STUDY
            assert not responses[-1].failed
            assert not any(response.final for response in responses[:-1])
    assert sorted((a.offer.originator.ae_title, a.offer.originator.message_id) for a in sink.arrivals) == sorted(  # type: ignore[union-attr]
        [(OURS, 702)] * PER_STUDY + [(OURS, 704)] * PER_STUDY
    )
    check_arrivals(sink, archive, {2, 4})


def test_objects_come_over_our_own_association(archive: Running, tmp_path: Path) -> None:
    sink = Gathering(tmp_path)
    with request(archive.peer(), [*QUERY, CT_FROM_PEER]) as association:
        for study in (1, 5):
            responses = list(get(association, keys(study=ObjectSpec(study=study).study_uid), sink))
            assert (responses[-1].final, responses[-1].status, responses[-1].completed) == (True, 0, PER_STUDY)
        echo(association)
    check_arrivals(sink, archive, {1, 5})


def check_arrivals(sink: Gathering, archive: Running, studies: set[int]) -> None:
    wanted = {spec.sop_instance_uid: spec for spec in specs() if spec.study in studies}
    assert len(sink.arrivals) == len(wanted)
    for uid, arrival in sink.by_uid().items():
        assert arrival.offer.calling == archive.title
        assert (arrival.dataset_sha256, arrival.dataset_size) == dataset_sha256(arrival.path)
        assert arrival.size == arrival.path.stat().st_size
        record = scan_file(arrival.path)
        assert (record.sop_instance_uid, record.transfer_syntax) == (uid, arrival.offer.transfer_syntax)
        assert record.study_uid == wanted[uid].study_uid  # type: ignore[index]
        assert "meta-mismatch" not in record.flags


def test_a_move_to_a_stranger_is_told_in_words(archive: Running) -> None:
    with request(archive.peer(), QUERY) as association:
        responses = list(move(association, keys(study=ObjectSpec(study=1).study_uid), "NOBODY"))
        assert responses[-1].final
        assert responses[-1].status & 0xF000 in (0xA000, 0xC000)
        echo(association)


def test_a_move_that_our_receiver_refuses_does_not_end_in_success(archive: Running, tmp_path: Path) -> None:
    sink = Gathering(tmp_path, status=0xA700)
    with receiver(archive, sink), request(archive.peer(), QUERY) as association:
        responses = list(move(association, keys(study=ObjectSpec(study=6).study_uid), OURS))
    assert responses[-1].status != 0
    assert not responses[-1].completed  # Orthanc counts none as failed either
    assert sink.arrivals


def test_a_move_that_is_left_is_cancelled_and_the_association_goes_on(dcmqrscp: Running, tmp_path: Path) -> None:
    many = [ObjectSpec(study=90, instance=number, patient_id="P90") for number in range(1, 301)]
    fill(dcmqrscp, many)
    sink = Gathering(tmp_path)
    with receiver(dcmqrscp, sink), request(dcmqrscp.peer(), QUERY) as association:
        for response in move(association, keys(study=many[0].study_uid), OURS):
            assert not response.final
            break
        echo(association)
    assert 0 < len(sink.arrivals) < len(many)


def test_a_move_is_cancelled_from_another_thread(dcmqrscp: Running, tmp_path: Path) -> None:
    many = [ObjectSpec(study=91, instance=number, patient_id="P91") for number in range(1, 301)]
    fill(dcmqrscp, many)
    sink = Gathering(tmp_path)
    with receiver(dcmqrscp, sink), request(dcmqrscp.peer(), QUERY) as association:
        responses = move(association, keys(study=many[0].study_uid), OURS)
        next(responses)
        threading.Thread(target=association.cancel).start()
        last = list(responses)[-1]
        assert last.status == 0xFE00
        echo(association)
    assert len(sink.arrivals) < len(many)


def test_orthanc_commits_to_what_it_has_and_not_to_what_it_has_not(orthanc: Running, tmp_path: Path) -> None:
    fill(orthanc, specs()[:3])
    reports: Queue[CommitmentReport] = Queue()
    objects = [Reference(sop_class_uid=CTImageStorage, sop_instance_uid=spec.sop_instance_uid) for spec in specs()[:3]]
    absent = Reference(sop_class_uid=CTImageStorage, sop_instance_uid="1.2.3.4.5")
    contexts = [Context(abstract_syntax=COMMITMENT_PUSH, transfer_syntaxes=UNCOMPRESSED)]
    sink = Gathering(tmp_path)
    with receiver(orthanc, sink, reports):
        with request(orthanc.peer(), contexts) as association:
            ask_commitment(association, "1.2.3.4.99", objects)
            ask_commitment(association, "1.2.3.4.100", [*objects, absent])
        found = {report.transaction: report for report in (reports.get(timeout=20), reports.get(timeout=20))}
    assert {one.sop_instance_uid for one in found["1.2.3.4.99"].committed} == {one.sop_instance_uid for one in objects}
    assert found["1.2.3.4.99"].failed == ()
    assert {one.sop_instance_uid for one in found["1.2.3.4.100"].committed} == {one.sop_instance_uid for one in objects}
    [lacking] = found["1.2.3.4.100"].failed
    assert (lacking.sop_instance_uid, lacking.reason) == ("1.2.3.4.5", 0x0112)


def test_an_archive_that_knows_no_commitment_says_so(dcmqrscp: Running) -> None:
    contexts = [Context(abstract_syntax=COMMITMENT_PUSH, transfer_syntaxes=UNCOMPRESSED)]
    with pytest.raises(ArchiveError, match="SOP class is not supported"):
        request(dcmqrscp.peer(), contexts)
