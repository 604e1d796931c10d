"""Real files cross the wire unchanged, in every transfer syntax, with dcmtk and pynetdicom on either side."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pynetdicom
import pytest
from attrs import frozen
from pydicom.uid import UID
from pynetdicom import _config, evt

from peers.dicom import ENVIRONMENT, OURS, Gathering, Running, local, program, storescp
from vna_lifecycle.adapters.dimse.wire import (
    UNCOMPRESSED,
    VERIFICATION,
    Admission,
    Context,
    NotSent,
    Outgoing,
    Peer,
    Receiver,
    Service,
    StoreAnswer,
    request,
    store,
)
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused

__all__ = ["storescp"]

pytestmark = pytest.mark.peer

ROOT = Path(pydicom.__file__).parent / "data" / "test_files"


@frozen
class Real:
    """A real file, and what must arrive."""

    outgoing: Outgoing
    transfer_syntax: str
    digest: tuple[str, int]


@pytest.fixture(scope="module")
def real() -> list[Real]:
    """Those of pydicom's files that are whole objects of even length with a stated transfer syntax, each once."""
    found: dict[tuple[str, int], Real] = {}
    for path in sorted(path for path in ROOT.rglob("*") if path.is_file()):
        try:
            record = scan_file(path)
        except DicomRefused:
            continue
        if "no-transfer-syntax" in record.flags or not record.sop_class_uid:
            continue
        outgoing = Outgoing(
            path=path, sop_class_uid=record.sop_class_uid, sop_instance_uid=str(record.sop_instance_uid)
        )
        digest = dataset_sha256(path)
        if digest[1] % 2:
            continue
        found[digest] = Real(outgoing, record.transfer_syntax, digest)
    assert len(found) > 60
    assert len({one.transfer_syntax for one in found.values()}) >= 10
    return list(found.values())


def contexts(real: list[Real]) -> list[Context]:
    pairs = sorted({(one.outgoing.sop_class_uid, one.transfer_syntax) for one in real})
    return [Context(abstract_syntax=uid, transfer_syntaxes=(syntax,)) for uid, syntax in pairs]


@contextmanager
def receiver(sink: Gathering, syntaxes: tuple[str, ...]) -> Iterator[Receiver]:
    admission = Admission(
        title=OURS, transfer_syntaxes=lambda uid: UNCOMPRESSED if uid == VERIFICATION else syntaxes, check_called=False
    )
    with Receiver(Service(admission=admission, sink=sink)) as listening:
        yield listening


def sent(peer: Peer, real: list[Real]) -> list[Real]:
    """What a peer takes, and says that it stored."""
    with request(peer, contexts(real)) as association:
        taken = [one for one in real if association.context_for(one.outgoing.sop_class_uid, one.transfer_syntax)]
        for _, answer in store(association, [one.outgoing for one in taken]):
            assert isinstance(answer, StoreAnswer)
            assert answer.status == 0
    return taken


def test_every_file_arrives_as_it_was_sent_from_us_to_us(real: list[Real], tmp_path: Path) -> None:
    sink = Gathering(tmp_path)
    with receiver(sink, tuple({one.transfer_syntax for one in real})) as listening:
        assert sent(local(listening.port, OURS), real) == real
    for one, arrival in zip(real, sink.arrivals, strict=True):
        assert (arrival.dataset_sha256, arrival.dataset_size) == one.digest == dataset_sha256(arrival.path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meta = pydicom.dcmread(arrival.path, stop_before_pixels=True).file_meta
        assert meta.TransferSyntaxUID == one.transfer_syntax
        assert meta.MediaStorageSOPInstanceUID == one.outgoing.sop_instance_uid
        assert meta.MediaStorageSOPClassUID == one.outgoing.sop_class_uid
        assert meta.SourceApplicationEntityTitle == OURS
        assert meta.FileMetaInformationGroupLength + 144 + one.digest[1] == arrival.size


def test_every_file_that_dcmtk_takes_is_stored_as_it_was_sent(real: list[Real], storescp: Running) -> None:
    by_uid = {one.outgoing.sop_instance_uid: one for one in real}  # dcmtk overwrites
    stored = sent(storescp.peer(), list(by_uid.values()))
    assert len(stored) > 50
    kept = {dataset_sha256(path) for path in storescp.folder.iterdir()}
    assert {one.digest for one in stored} <= kept


def test_a_data_set_of_odd_length_is_not_sent_and_the_others_are(real: list[Real], storescp: Running) -> None:
    odd = ROOT / "image_dfl.dcm"
    record = scan_file(odd)
    outgoing = Outgoing(path=odd, sop_class_uid=record.sop_class_uid, sop_instance_uid=str(record.sop_instance_uid))
    [other, *_] = (one for one in real if one.transfer_syntax == "1.2.840.10008.1.2.1")
    offered = [
        Context(abstract_syntax=outgoing.sop_class_uid, transfer_syntaxes=(record.transfer_syntax,)),
        *contexts([other]),
    ]
    with request(storescp.peer(), offered) as association:
        answers = [answer for _, answer in store(association, [other.outgoing, outgoing, other.outgoing])]
    before, refused, after = answers
    assert isinstance(refused, NotSent)
    assert isinstance(refused.problem, DicomRefused)
    assert refused.problem.code == "odd-length"
    assert [getattr(one, "status", None) for one in (before, after)] == [0, 0]


@pytest.mark.parametrize("pdu", [4096, 16384, 131072])
def test_what_dcmtk_sends_arrives_as_it_was_sent(real: list[Real], tmp_path: Path, pdu: int) -> None:
    syntaxes = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2")
    plain = [one for one in real if one.transfer_syntax == "1.2.840.10008.1.2.1"]
    sink = Gathering(tmp_path)
    files = [str(one.outgoing.path) for one in plain]
    with receiver(sink, syntaxes) as listening:
        subprocess.run(
            [program("storescu"), "-R", "-nh", "--max-send-pdu", str(pdu), "-aet", "DCMTK", "127.0.0.1",
             str(listening.port), *files],
            env=ENVIRONMENT, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
    assert len(sink.arrivals) > 20
    assert {arrival.offer.calling for arrival in sink.arrivals} == {"DCMTK"}
    for arrival in sink.arrivals:
        assert (arrival.dataset_sha256, arrival.dataset_size) == dataset_sha256(arrival.path)
        assert scan_file(arrival.path).sop_instance_uid == arrival.offer.sop_instance_uid


@pytest.fixture
def chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    """pynetdicom sends a file's own bytes, and keeps what came."""
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    monkeypatch.setattr(_config, "LOG_REQUEST_IDENTIFIERS", False)
    monkeypatch.setattr(_config, "LOG_RESPONSE_IDENTIFIERS", False)


def nodelay(event: evt.Event) -> None:
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@pytest.mark.usefixtures("chunked")
def test_what_pynetdicom_sends_arrives_as_it_was_sent(real: list[Real], tmp_path: Path) -> None:
    sink = Gathering(tmp_path)
    entity = pynetdicom.AE("PYNETDICOM")
    entity.dimse_timeout = 3
    for context in contexts(real):
        entity.add_requested_context(context.abstract_syntax, list(context.transfer_syntaxes))
    sendable = [one for one in real if named_in_its_meta(one)]
    statuses: list[int] = []
    with receiver(sink, tuple({one.transfer_syntax for one in real})) as listening:
        left = list(sendable)
        while left:  # a busy pynetdicom loses answers now and then, and gives the association up
            association = entity.associate(
                "127.0.0.1", listening.port, ae_title=OURS, evt_handlers=[(evt.EVT_CONN_OPEN, nodelay)]
            )
            assert association.is_established
            while left and association.is_alive():
                answer = association.send_c_store(left.pop(0).outgoing.path)
                statuses += [answer.Status] if answer else []
            association.release()
    assert len(sendable) > 60
    assert set(statuses) == {0}
    arrived = [(arrival.dataset_sha256, arrival.dataset_size) for arrival in sink.arrivals]
    assert arrived == [one.digest for one in sendable]


def named_in_its_meta(one: Real) -> bool:
    """Whether the file meta information names the object as the data set does: pynetdicom goes by the former."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meta = pydicom.dcmread(one.outgoing.path, stop_before_pixels=True, force=True).file_meta
    named = (meta.get("MediaStorageSOPClassUID"), meta.get("MediaStorageSOPInstanceUID"))
    return named == (one.outgoing.sop_class_uid, one.outgoing.sop_instance_uid)


@pytest.mark.usefixtures("chunked")
def test_what_pynetdicom_receives_is_what_was_sent(real: list[Real]) -> None:
    received: list[tuple[str, int]] = []

    def keep(event: evt.Event) -> int:
        data = event.request.DataSet.getvalue()
        received.append((hashlib.sha256(data).hexdigest(), len(data)))
        return 0

    entity = pynetdicom.AE("PYNETDICOM")
    for context in contexts(real):
        entity.add_supported_context(UID(context.abstract_syntax), [one.transfer_syntax for one in real])
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep), (evt.EVT_CONN_OPEN, nodelay)]
    )
    try:
        stored = sent(local(server.server_address[1], "PYNETDICOM"), real)
    finally:
        server.shutdown()
    assert stored == real
    assert received == [one.digest for one in real]
