"""Command sets and association messages against pynetdicom's own reading and writing of them."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode as decode_with_pynetdicom
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire import negotiation
from vna_lifecycle.adapters.dimse.wire.identifier import Identifier, read, write
from vna_lifecycle.adapters.dimse.wire.negotiation import Negotiation, Proposed, Result, Role
from vna_lifecycle.errors import ArchiveError

uids = st.lists(st.integers(0, 10**9 - 1), min_size=2, max_size=6).map(lambda parts: "1.2." + ".".join(map(str, parts)))
titles = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), min_size=1, max_size=16)


@given(class_uid=uids, instance_uid=uids, message_id=st.integers(1, 65535), mover=titles)
def test_a_command_set_is_what_pynetdicom_reads(class_uid: str, instance_uid: str, message_id: int, mover: str) -> None:
    elements: dict[int, int | str] = {
        cs.AFFECTED_CLASS: class_uid,
        cs.FIELD: cs.C_STORE_RQ,
        cs.MESSAGE_ID: message_id,
        cs.PRIORITY: cs.MEDIUM,
        cs.DATA_SET_TYPE: cs.DATA_SET,
        cs.AFFECTED_INSTANCE: instance_uid,
        cs.MOVE_ORIGINATOR: mover,
        cs.MOVE_ORIGINATOR_MESSAGE_ID: 7,
    }
    encoded = cs.encode(elements)
    read = decode_with_pynetdicom(io.BytesIO(encoded), True, True)
    assert (read.AffectedSOPClassUID, read.AffectedSOPInstanceUID) == (class_uid, instance_uid)
    assert (read.CommandField, read.MessageID, read.Priority) == (1, message_id, 0)
    assert read.MoveOriginatorApplicationEntityTitle.strip() == mover.strip()
    assert read.MoveOriginatorMessageID == 7
    assert read.CommandGroupLength == len(encoded) - 12


@given(class_uid=uids, instance_uid=uids, message_id=st.integers(1, 65535), mover=titles)
def test_a_command_set_of_pynetdicom_is_read(class_uid: str, instance_uid: str, message_id: int, mover: str) -> None:
    primitive = C_STORE()
    primitive.MessageID = message_id
    primitive.AffectedSOPClassUID = UID(class_uid)
    primitive.AffectedSOPInstanceUID = UID(instance_uid)
    primitive.Priority = 2
    primitive.MoveOriginatorApplicationEntityTitle = mover
    primitive.MoveOriginatorMessageID = 9
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    [fragment] = (value[1][1:] for item in message.encode_msg(1, 16384) for value in item.presentation_data_value_list)
    command = cs.decode(fragment)
    assert cs.text(command, cs.AFFECTED_CLASS) == class_uid
    assert cs.text(command, cs.AFFECTED_INSTANCE) == instance_uid
    assert cs.required(command, cs.MESSAGE_ID) == message_id
    assert cs.text(command, cs.MOVE_ORIGINATOR) == mover
    assert cs.number(command, cs.MOVE_ORIGINATOR_MESSAGE_ID) == 9
    assert cs.number(command, cs.STATUS) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_set_or_a_violation(data: bytes) -> None:
    with contextlib.suppress(ArchiveError):
        command = cs.decode(data)
        assert cs.FIELD in command
        for element in command:
            assert isinstance(cs.text(command, element), str)


def asked() -> Negotiation:
    return Negotiation(
        called="CALLED",
        calling="CALLING",
        max_pdu=65536,
        proposed=(
            Proposed(id=1, abstract_syntax="1.2.840.10008.1.1", transfer_syntaxes=("1.2.840.10008.1.2",)),
            Proposed(id=3, abstract_syntax="1.2.3.4", transfer_syntaxes=("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")),
        ),
        roles={"1.2.3.4": Role(scu=True, scp=True)},
        extended={"1.2.840.10008.5.1.4.1.2.2.1": b"\1\0\1"},
    )


def test_a_request_is_what_pynetdicom_reads() -> None:
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(negotiation.encode(1, asked()))
    read = pdu.to_primitive()
    assert (read.called_ae_title.strip(), read.calling_ae_title.strip()) == ("CALLED", "CALLING")
    assert read.application_context_name == "1.2.840.10008.3.1.1.1"
    assert read.maximum_length_received == 65536
    assert read.implementation_class_uid == negotiation.IMPLEMENTATION_CLASS
    offered = [
        (one.context_id, one.abstract_syntax, tuple(one.transfer_syntax))
        for one in read.presentation_context_definition_list
    ]
    assert offered == [(one.id, one.abstract_syntax, one.transfer_syntaxes) for one in asked().proposed]
    roles = [one for one in read.user_information if isinstance(one, SCP_SCU_RoleSelectionNegotiation)]
    assert [(one.sop_class_uid, one.scu_role, one.scp_role) for one in roles] == [("1.2.3.4", True, True)]
    [extended] = (one for one in read.user_information if isinstance(one, SOPClassExtendedNegotiation))
    assert extended.service_class_application_information == b"\1\0\1"


def test_a_request_is_read_back() -> None:
    assert negotiation.decode(negotiation.encode(1, asked())[6:]) == asked()


def of_pynetdicom() -> A_ASSOCIATE:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "THEY", "WE"
    length, implementation, version = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        ImplementationVersionNameNotification(),
    )
    length.maximum_length_received = 32768
    implementation.implementation_class_uid = UID("1.2.3")
    version.implementation_version_name = "THEIRS"
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field = 1, b"somebody"
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = UID("1.2.840.10008.1.20.1"), False, True
    primitive.user_information = [length, implementation, version, identity, role]
    return primitive


def test_a_request_of_pynetdicom_is_read() -> None:
    primitive = of_pynetdicom()
    contexts = [build_context("1.2.840.10008.1.20.1", ["1.2.840.10008.1.2"]), build_context("1.2.3.4.5")]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = contexts
    read = negotiation.decode(A_ASSOCIATE_RQ(primitive).encode()[6:])
    assert (read.called, read.calling, read.max_pdu, read.implementation) == ("WE", "THEY", 32768, "THEIRS")
    assert read.roles == {"1.2.840.10008.1.20.1": Role(scu=False, scp=True)}
    assert [(one.id, one.abstract_syntax) for one in read.proposed] == [(1, "1.2.840.10008.1.20.1"), (3, "1.2.3.4.5")]
    assert read.proposed[1].transfer_syntaxes == tuple(contexts[1].transfer_syntax)


def test_an_acceptance_is_what_pynetdicom_reads_and_is_read_back() -> None:
    results = (
        Result(id=1, result=0, transfer_syntax="1.2.840.10008.1.2"),
        Result(id=3, result=3),
        Result(id=5, result=4),
    )
    answer = Negotiation(called="CALLED", calling="CALLING", max_pdu=131072, results=results)
    encoded = negotiation.encode(2, answer)
    pdu = A_ASSOCIATE_AC()
    pdu.decode(encoded)
    read = pdu.to_primitive()
    found = [(one.context_id, one.result) for one in read.presentation_context_definition_results_list]
    assert found == [(1, 0), (3, 3), (5, 4)]
    assert read.presentation_context_definition_results_list[0].transfer_syntax == ["1.2.840.10008.1.2"]
    assert negotiation.decode(encoded[6:]) == answer


@pytest.mark.parametrize(("result", "source", "reason"), [(1, 1, 3), (1, 1, 7), (2, 3, 2), (1, 2, 2)])
def test_a_rejection_is_what_pynetdicom_reads(result: int, source: int, reason: int) -> None:
    pdu = A_ASSOCIATE_RJ()
    pdu.decode(negotiation.encode_rejection(result, source, reason))
    assert (pdu.result, pdu.source, pdu.reason_diagnostic) == (result, source, reason)


def test_items_that_are_not_known_are_passed_over() -> None:
    body = negotiation.encode(1, asked())[6:]
    assert negotiation.decode(body + b"\x77\0\0\x03abc") == asked()


def test_a_request_that_is_cut_anywhere_is_a_violation_or_lacks_whole_items() -> None:
    body = negotiation.encode(1, asked())[6:]
    whole = 0
    for end in range(len(body)):
        try:
            read = negotiation.decode(body[:end])
        except ArchiveError:
            continue
        whole += 1
        assert read.proposed == asked().proposed[: len(read.proposed)]
    assert whole == 4  # after the fixed part, the application context, and each presentation context


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_a_violation(tail: bytes) -> None:
    with contextlib.suppress(ArchiveError):
        negotiation.decode(b"\0\1\0\0" + b"A".ljust(16) + b"B".ljust(16) + bytes(32) + tail)


PLAIN = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\^="), min_size=1, max_size=16)
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
PATIENT, ACCESSION, STUDY, REQUESTED = 0x00100020, 0x00080050, 0x0020000D, 0x00400275


def of_pydicom(data: bytes, syntax: str) -> Dataset:
    return read_dataset(io.BytesIO(data), syntax == SYNTAXES[0], syntax != SYNTAXES[2], len(data))


@given(patient=PLAIN, accession=PLAIN, study=uids, inner=PLAIN, syntax=st.sampled_from(SYNTAXES))
def test_keys_are_what_pydicom_reads_and_what_we_read(
    patient: str, accession: str, study: str, inner: str, syntax: str
) -> None:
    keys = {PATIENT: patient, STUDY: study, REQUESTED: [{ACCESSION: accession}, {ACCESSION: inner}], 0x00080061: ""}
    data = write(keys, syntax)
    theirs = of_pydicom(data, syntax)
    assert (theirs.PatientID, theirs.StudyInstanceUID) == (patient, study)
    assert not theirs.ModalitiesInStudy
    assert [item.AccessionNumber for item in theirs.RequestAttributesSequence] == [accession, inner]
    ours = Identifier(data=data, transfer_syntax=syntax).read()
    assert (ours.text(PATIENT), ours.text(STUDY), ours.values[0x00080061]) == (patient, study, b"")
    assert [item[ACCESSION].decode().rstrip(" ") for item in ours.items[REQUESTED]] == [accession, inner]
    assert set(ours.values) == {PATIENT, STUDY, 0x00080061}


@given(patient=PLAIN, inner=PLAIN, syntax=st.sampled_from(SYNTAXES), undefined=st.booleans())
def test_what_pydicom_writes_is_read(patient: str, inner: str, syntax: str, undefined: bool) -> None:
    dataset = Dataset()
    dataset.PatientID, dataset.NumberOfStudyRelatedInstances = patient, 12
    dataset.ReferencedStudySequence = []
    dataset.RequestAttributesSequence = [Dataset(), Dataset()]
    dataset.RequestAttributesSequence[1].AccessionNumber = inner
    dataset.RequestAttributesSequence[1].ScheduledProtocolCodeSequence = [Dataset()]
    dataset.RequestAttributesSequence[1].ScheduledProtocolCodeSequence[0].AccessionNumber = "deep"
    dataset["RequestAttributesSequence"].is_undefined_length = undefined
    memory = io.BytesIO()
    file = DicomFileLike(memory)
    file.is_implicit_VR, file.is_little_endian = syntax == SYNTAXES[0], syntax != SYNTAXES[2]
    write_dataset(file, dataset)
    ours = read(memory.getvalue(), syntax)
    assert (ours.text(PATIENT), ours.text(0x00201208)) == (patient, "12")
    assert (ours.items.get(0x00081110, ()), ours.text(STUDY)) == ((), "")
    first, second = ours.items[REQUESTED]
    assert (first, set(second), second[ACCESSION].decode().rstrip(" ")) == ({}, {ACCESSION}, inner)


def test_keys_that_are_not_ascii_say_so_and_are_read_in_their_character_set() -> None:
    data = write({0x00100010: "M\u00fcller*"}, "1.2.840.10008.1.2")
    assert of_pydicom(data, "1.2.840.10008.1.2").PatientName == "M\u00fcller*"
    assert read(data, "1.2.840.10008.1.2").text(0x00100010) == "M\u00fcller*"
    latin = Identifier(
        data=b"\x08\0\5\0\x0a\0\0\0ISO_IR 100" + b"\x10\0\x10\0\4\0\0\0M\xfc  ", transfer_syntax="1.2.840.10008.1.2"
    )
    assert latin.read().text(0x00100010) == "M\u00fc"


@pytest.mark.parametrize("keys", [{0x00280010: "512"}, {0x00090010: "ACME"}, {0x7FE00010: "x"}])
def test_what_is_no_text_cannot_be_asked_for(keys: dict[int, str]) -> None:
    with pytest.raises(ValueError, match="no text"):
        write(keys, "1.2.840.10008.1.2.1")


def test_numbers_can_be_asked_for_without_a_value() -> None:
    assert of_pydicom(write({0x00280010: ""}, SYNTAXES[1]), SYNTAXES[1]).Rows is None


@given(st.binary(min_size=1, max_size=100), st.sampled_from(SYNTAXES))
def test_any_bytes_are_an_identifier_or_a_violation(data: bytes, syntax: str) -> None:
    with contextlib.suppress(ArchiveError):
        read(data, syntax)
