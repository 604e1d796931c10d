"""Without faults, the misbehaving PACS is an archive that pynetdicom, which others wrote, can work with."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, Association, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from peers.dicom import free_port
from vna_lifecycle.testing.misbehaving_pacs import Faults, MisbehavingPacs
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

SPECS = [ObjectSpec(study=1, instance=number, grey=number) for number in (1, 2, 3)] + [
    ObjectSpec(study=2, study_date="20200101", patient_id="Q7")
]
MODELS = (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)


@pytest.fixture
def pacs() -> Iterator[MisbehavingPacs]:
    with MisbehavingPacs([dicom_bytes(spec) for spec in SPECS]) as running:
        yield running


def associate(pacs: MisbehavingPacs, handler: object = None) -> Association:
    entity = AE(ae_title="US")
    for model in (Verification, *MODELS, CTImageStorage):
        entity.add_requested_context(model, "1.2.840.10008.1.2.1")
    handlers = [(evt.EVT_C_STORE, handler)] if handler else []
    roles = [build_role(CTImageStorage, scp_role=True, scu_role=True)] if handler else []
    association = entity.associate(
        "127.0.0.1",
        pacs.port,
        ae_title=pacs.title,
        ext_neg=roles,
        evt_handlers=handlers,
    )
    assert association.is_established
    return association


def query(level: str, **keys: str) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def found(association: Association, asked: Dataset, keyword: str) -> list[str]:
    answers = [answer for _, answer in association.send_c_find(asked, MODELS[0])]
    assert answers.pop() is None
    return sorted(str(answer[keyword].value) for answer in answers if answer is not None)


def test_it_answers_queries_at_every_level(pacs: MisbehavingPacs) -> None:
    """Dates in a range, wildcards and unique keys match; counts are true."""
    association = associate(pacs)
    assert association.send_c_echo().Status == 0
    first, second = SPECS[0], SPECS[3]
    studies = query("STUDY", StudyDate="20240101-20241231", StudyInstanceUID="", NumberOfStudyRelatedInstances="")
    assert found(association, studies, "StudyInstanceUID") == [first.study_uid]
    assert found(association, studies, "NumberOfStudyRelatedInstances") == ["3"]
    by_patient = query("STUDY", PatientID="Q*", StudyInstanceUID="")
    assert found(association, by_patient, "StudyInstanceUID") == [second.study_uid]
    images = query("IMAGE", StudyInstanceUID=first.study_uid, SeriesInstanceUID=first.series_uid, SOPInstanceUID="")
    assert len(found(association, images, "SOPInstanceUID")) == 3
    association.release()
    assert pacs.asked == ["C-ECHO", "C-FIND STUDY", "C-FIND STUDY", "C-FIND STUDY", "C-FIND IMAGE"]


@pytest.mark.parametrize(
    ("keys", "matching"),
    [
        ({"StudyDate": "20200101-20200101"}, True),  # both days belong to a range
        ({"StudyDate": "20200101-"}, True),
        ({"StudyDate": "-20200101"}, True),
        ({"StudyDate": "20200102-"}, False),
        ({"StudyDate": "-20191231"}, False),
        ({"StudyDate": "20200101"}, True),
        ({"PatientID": "Q7"}, True),
        ({"PatientID": "Q"}, False),  # a single value is not the beginning of one
        ({"PatientID": "?7"}, True),
        ({"PatientID": "?"}, False),
        ({"PatientID": "Q*"}, True),
        ({"PatientID": "Q.*"}, False),
        ({"PatientID": "Q7", "StudyDate": "20200102-"}, False),
        ({"PatientID": "", "StudyDate": "", "StudyDescription": ""}, True),
        ({"FrameOfReferenceUID": "1.2.3"}, False),
        ({"PerformingPhysicianName": "*"}, False),  # which it does not hold
    ],
    ids=str,
)
def test_it_matches_as_the_standard_says(pacs: MisbehavingPacs, keys: dict[str, str], matching: bool) -> None:
    """By single values, ranges and wild cards (PS3.4 C.2.2.2); a key without a value matches everything."""
    association = associate(pacs)
    asked = query("STUDY", StudyInstanceUID="", **keys)
    assert (SPECS[3].study_uid in found(association, asked, "StudyInstanceUID")) is matching
    association.release()


def test_it_matches_several_uids(pacs: MisbehavingPacs) -> None:
    association = associate(pacs)
    uids = [SPECS[1].sop_instance_uid, "1.2.3", SPECS[2].sop_instance_uid]
    asked = query("IMAGE", StudyInstanceUID=SPECS[0].study_uid, SOPInstanceUID="\\".join(uids))
    assert found(association, asked, "SOPInstanceUID") == sorted([uids[0], uids[2]])
    association.release()


def test_it_sends_what_it_holds_by_get_and_by_move() -> None:
    """The counters are true, and every object comes once."""
    port = free_port()
    came: list[str] = []

    def take(event: evt.Event) -> int:
        came.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    receiver = AE(ae_title="US")
    receiver.add_supported_context(CTImageStorage)
    with MisbehavingPacs([dicom_bytes(spec) for spec in SPECS], destinations={"US": port}) as pacs:
        server = receiver.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
        try:
            association = associate(pacs, take)
            asked = query("STUDY", StudyInstanceUID=SPECS[0].study_uid)
            for send, where in ((association.send_c_get, ()), (association.send_c_move, ("US",))):
                came.clear()
                *_, (last, _) = send(asked, *where, MODELS[1] if not where else MODELS[2])
                assert (last.Status, last.NumberOfCompletedSuboperations) == (0, 3)
                assert sorted(came) == sorted(spec.sop_instance_uid for spec in SPECS[:3])
            *_, (last, _) = association.send_c_move(asked, "NOBODY", MODELS[2])
            assert last.Status == 0xA801
            association.release()
        finally:
            server.shutdown()


def test_it_keeps_what_is_stored(pacs: MisbehavingPacs) -> None:
    """And with a fault, it does not, or keeps something else."""
    association = associate(pacs)
    for number, faults in ((8, Faults()), (9, Faults(lost={SPECS[0].sop_instance_uid[:-1] + "9"}))):
        pacs.faults = faults
        spec = ObjectSpec(study=1, instance=number)
        assert association.send_c_store(dcmread(io.BytesIO(dicom_bytes(spec)))).Status == 0
    pacs.faults = Faults(coerced={"PatientName": "Coerced"}, store_status=0xB000)
    spec = ObjectSpec(study=1, instance=10)
    assert association.send_c_store(dcmread(io.BytesIO(dicom_bytes(spec)))).Status == 0xB000
    association.release()
    uids = pacs.held()
    assert (len(uids), SPECS[0].sop_instance_uid[:-1] + "9" in uids) == (6, False)
    (kept,) = (held for held in pacs.holdings.all() if held.uid == spec.sop_instance_uid)
    assert kept.dataset.PatientName == "Coerced"
