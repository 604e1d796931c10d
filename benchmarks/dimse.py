"""The wire of DIMSE against dcmtk and pynetdicom: one association, loopback, receivers on tmpfs.

All have TCP_NODELAY and PDUs of 128 KiB. What a peer's program needs to start is part of its time, some 10 ms of a
second; our interpreter's start is not, for a program moves many studies. Receivers of ours run in a process of theirs.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import evolve, field, frozen
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from benchmarks import Row, interleave
from benchmarks.files_to_files import before_pixels, header
from vna_lifecycle.adapters.dimse.wire import (
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    UNCOMPRESSED,
    VERIFICATION,
    Admission,
    Arrival,
    Context,
    Limits,
    Offer,
    Outgoing,
    Peer,
    Receiver,
    Service,
    StoreAnswer,
    Timeouts,
    echo,
    find,
    get,
    move,
    negotiation,
    request,
    store,
)
from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire.identifier import write
from vna_lifecycle.adapters.dimse.wire.negotiation import Negotiation, Result
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.identity import AETitle

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1", "TCP_BUFFER_LENGTH": "262144"}
PDU = "131072"
OURS, THEIRS = AETitle("OURS"), AETitle("THEIRS")
STUDY = f"2.25.{3 * 10**30}"
MIB = 1 << 20
LARGE_FRAMES = 4096  # 512 x 512 x 2 bytes each: 2 GiB
CT = Context(abstract_syntax=CTImageStorage, transfer_syntaxes=(ExplicitVRLittleEndian,))
LARGE_CT = Context(abstract_syntax=EnhancedCTImageStorage, transfer_syntaxes=(ExplicitVRLittleEndian,))
CT_FROM_PEER = Context(abstract_syntax=CTImageStorage, transfer_syntaxes=(ExplicitVRLittleEndian,), scp_role=True)
QUERY = tuple(
    Context(abstract_syntax=uid, transfer_syntaxes=UNCOMPRESSED)
    for uid in (VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET)
)

Rate = Callable[[], float]


@frozen(kw_only=True)
class Pace:
    """How much is measured."""

    objects: int = 400
    small_objects: int = 2_000
    pulled: int = 200
    answers: int = 100_000
    frames: int = LARGE_FRAMES
    pairs: int = 7


@frozen(kw_only=True)
class Place:
    """Files to send, and where receivers put theirs."""

    folder: Path
    files: list[Outgoing]
    count: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "count", len(self.files))

    @property
    def source(self) -> Path:
        return self.files[0].path.parent


@frozen(kw_only=True)
class Listening:
    """Where somebody listens, in which process, and how what it received is removed: never within the time."""

    port: int
    called: str = "ANY"
    pid: int = 0
    empty: Callable[[], None] = field(default=lambda: None)


def run(quick: bool = False) -> list[Row]:
    pace = Pace(objects=40, small_objects=100, pulled=20, answers=2_000, frames=128, pairs=2) if quick else Pace()
    memory = Path("/dev/shm")  # noqa: S108 - so that no disk is measured
    with tempfile.TemporaryDirectory(prefix="dimse-", dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        usual = build(folder / "usual", pace.objects, 512)
        small = build(folder / "small", pace.small_objects, 70)
        rows = sending(folder, usual, pace.pairs)
        rows += receiving(folder, usual, pace.pairs)
        rows += sending_small(folder, small, pace.pairs)
        shutil.rmtree(folder / "small")
        pulled = Place(folder=folder, files=usual.files[: pace.pulled])
        for title, archive in (("dcmqrscp", dcmqrscp), ("Orthanc", orthanc)):
            rows += pulling(folder, pulled, title, archive, pace.pairs)
        shutil.rmtree(folder / "usual")
        rows += querying(pace)
        rows += large(folder, pace.frames)
    return rows


# ------------------------------------------------------------------------------------------------- what is measured


def sending(folder: Path, place: Place, pairs: int) -> list[Row]:
    with storescp(folder) as theirs:
        dcmtk = interleave(lambda: ours(place, theirs), lambda: storescu(place, theirs), pairs)
        few = Place(folder=folder, files=place.files[: max(10, place.count // 8)])
        stock = interleave(lambda: ours(few, theirs), lambda: pynetdicom(few, theirs), pairs)
    with orthanc(folder) as theirs:
        archive = interleave(lambda: ours(place, theirs), lambda: storescu(place, theirs), pairs)
    what = "send 0.5 MB objects"
    return [
        row(f"{what} into storescp", dcmtk, 1.7, "peer: storescu"),
        row(f"{what} into storescp", stock, 4.0, "peer: pynetdicom with NODELAY, sending files' own bytes"),
        row(f"{what} into Orthanc", archive, 1.1, "peer: storescu"),
    ]


def receiving(folder: Path, place: Place, pairs: int) -> list[Row]:
    with storescp(folder) as theirs, our_receiver(folder) as mine:
        from_dcmtk = interleave(lambda: storescu(place, mine), lambda: storescu(place, theirs), pairs)
        both = interleave(lambda: ours(place, mine), lambda: storescu(place, theirs), pairs)
    return [
        row("receive 0.5 MB objects from storescu", from_dcmtk, 0.95, "peer: storescp"),
        row("our sender into our receiver, 0.5 MB objects", both, 2.5, "peer: storescu into storescp"),
    ]


def sending_small(folder: Path, place: Place, pairs: int) -> list[Row]:
    with storescp(folder) as theirs, our_receiver(folder) as mine:
        out = interleave(lambda: ours(place, theirs), lambda: storescu(place, theirs), pairs)
        into = interleave(lambda: storescu(place, mine), lambda: storescu(place, theirs), pairs)
        both = interleave(lambda: ours(place, mine), lambda: storescu(place, theirs), pairs)
    return [
        row("send 10 KB objects into storescp", out, 1.5, "peer: storescu"),
        row("receive 10 KB objects from storescu", into, 1.5, "peer: storescp; the sender is the same"),
        row("our sender into our receiver, 10 KB objects", both, 1.5, "peer: storescu into storescp"),
    ]


def pulling(folder: Path, place: Place, title: str, archive: Callable[..., object], pairs: int) -> list[Row]:
    with ExitStack() as stack:
        theirs = stack.enter_context(storescp(folder))
        sink = Keeping(folder)
        mine = stack.enter_context(Receiver(service(sink)))
        source: Listening = stack.enter_context(archive(folder, {OURS: mine.port, THEIRS: theirs.port}))  # type: ignore[arg-type]
        ours(place, evolve(source, empty=lambda: None))
        where = ["-S", "-aec", source.called, "-aet", OURS, "127.0.0.1", str(source.port)]
        asked = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"]
        keys = {0x00080052: "STUDY", 0x0020000D: STUDY}

        def our_move() -> float:
            begun, before = time.perf_counter(), sink.taken
            with request(local(source), QUERY) as association:
                for response in move(association, keys, OURS):
                    assert response.status in (0, 0xFF00)
            return pulled(begun, before)

        def our_get() -> float:
            begun, before = time.perf_counter(), sink.taken
            with request(local(source), [*QUERY, CT_FROM_PEER]) as association:
                for response in get(association, keys, sink):
                    assert response.status in (0, 0xFF00)
            return pulled(begun, before)

        def pulled(begun: float, before: int) -> float:
            rate = place.count / (time.perf_counter() - begun)
            assert sink.taken - before == place.count
            emptied(sink.folder)
            return rate

        def their_move() -> float:
            rate = timed(place.count, ["movescu", "-aem", THEIRS, *where, *asked])
            theirs.empty()
            return rate

        def their_get() -> float:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                return timed(place.count, ["getscu", "+B", "-pdu", PDU, "-od", out, *where, *asked])

        moved, got = interleave(our_move, their_move, pairs), interleave(our_get, their_get, pairs)
    return [
        row(f"pull 0.5 MB objects from {title} by C-MOVE", moved, 0.95, "peer: movescu and storescp"),
        row(f"pull 0.5 MB objects from {title} by C-GET", got, 0.95, "peer: getscu"),
    ]


def querying(pace: Pace) -> list[Row]:
    growth = 0.0
    keys = {0x00080052: "STUDY", 0x00100020: "", 0x00100010: "", 0x0020000D: "", 0x00080020: "", 0x00080061: ""}
    options = [option for tag in keys for option in ("-k", f"{tag >> 16:04x},{tag & 0xFFFF:04x}={keys[tag]}")]
    with answering(pace.answers) as port:

        def our_rate() -> float:
            nonlocal growth
            begun, count, before = time.perf_counter(), 0, 0.0
            with request(local(Listening(port=port)), QUERY[1:2]) as association:
                for identifier in find(association, keys):
                    assert identifier.read().values
                    count += 1
                    if count == 1_000:
                        before = resident()
            growth = max(growth, resident() - before)
            assert count == pace.answers
            return count / (time.perf_counter() - begun)

        command = ["findscu", "-S", "127.0.0.1", str(port), *options]
        compared = interleave(our_rate, lambda: timed(pace.answers, command), pace.pairs)
    return [
        row(f"C-FIND, {pace.answers:,} answers", compared, 1.0, "peer: findscu; ours reads every value of each answer"),
        Row(
            name=f"C-FIND, {pace.answers:,} answers, memory growth",
            ours=growth,
            unit="MiB",
            target="<= 8 MiB",
            reached=growth <= 8,
            note="from the 1,000th answer to the last",
        ),
    ]


def large(folder: Path, frames: int) -> list[Row]:
    """The peak of a process that sends, and of one that receives, a single large object."""
    place = folder / "large"
    place.mkdir()
    dataset = header(f"2.25.{2 * 10**30}", study=99, number=1, sop_class=EnhancedCTImageStorage)
    dataset.NumberOfFrames = frames
    beginning = before_pixels(dataset, frames * 512 * 512 * 2)
    path = place / "large.dcm"
    path.write_bytes(beginning)
    os.truncate(path, len(beginning) + frames * 512 * 512 * 2)  # the pixels are a hole: they cost no memory
    begun = time.perf_counter()
    with our_receiver(folder) as mine:
        code = f"import benchmarks.dimse as b; b.send_one({str(path)!r}, {mine.port})"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        sent, received = float(run.stdout), peak(mine.pid)
    seconds = time.perf_counter() - begun
    size = path.stat().st_size / 1e9
    return [
        Row(
            name=f"one object of {size:.2g} GB, peak memory of the {who}",
            ours=peak,
            unit="MiB",
            target="<= 150 MiB",
            reached=peak <= 150,
            note=f"the whole process; {size / seconds * 1000:.0f} MB/s with both processes' start",
        )
        for who, peak in (("sender", sent), ("receiver", received))
    ]


def row(name: str, compared: object, target: float, note: str) -> Row:
    return Row(
        name=name,
        ours=compared.ours,  # type: ignore[attr-defined]
        peer=compared.peer,  # type: ignore[attr-defined]
        unit="1/s",
        ratio=compared.ratio,  # type: ignore[attr-defined]
        target=f">= {target}",
        reached=compared.ratio >= target,  # type: ignore[attr-defined]
        note=f"{note}; {compared.interval}",  # type: ignore[attr-defined]
    )


# ------------------------------------------------------------------------------------------------------------- ours


class Keeping:
    """A sink that leaves every object where it was received."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.placed = self.taken = 0

    def place(self, offer: Offer) -> Path | int:
        self.placed += 1
        return self.folder / f"{self.placed}.dcm"

    def take(self, arrival: Arrival) -> int:
        self.taken += 1
        return 0

    def lose(self, path: Path, problem: object) -> None:
        """Only what arrives is counted."""


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def service(sink: Keeping) -> Service:
    admission = Admission(title=OURS, transfer_syntaxes=lambda uid: UNCOMPRESSED, check_called=False)
    return Service(admission=admission, sink=sink, limits=Limits())


def local(there: Listening) -> Peer:
    timeouts = Timeouts(connect=10, answer=120, stall=60)
    return Peer(host="127.0.0.1", port=there.port, called=AETitle(there.called), calling=OURS, timeouts=timeouts)


def ours(place: Place, there: Listening) -> float:
    begun = time.perf_counter()
    with request(local(there), [CT]) as association:
        for _, answer in store(association, place.files):
            assert isinstance(answer, StoreAnswer)
            assert answer.status == 0
    rate = place.count / (time.perf_counter() - begun)
    there.empty()
    return rate


def send_one(path: str, port: int) -> None:
    """In a process of its own: send a large object, and print the peak of memory."""
    outgoing = Outgoing(path=Path(path), sop_class_uid=EnhancedCTImageStorage, sop_instance_uid=f"2.25.{2 * 10**30}")
    with request(local(Listening(port=port)), [LARGE_CT]) as association:
        [(_, answer)] = store(association, [outgoing])
    assert isinstance(answer, StoreAnswer)
    assert answer.status == 0
    print(peak(os.getpid()))


def receive(folder: str) -> None:
    """In a process of its own: receive until the standard input ends."""
    sink = Keeping(Path(folder))
    with Receiver(service(sink)) as receiver:
        print(receiver.port, sink.folder, flush=True)
        sys.stdin.read()


@contextmanager
def our_receiver(folder: Path) -> Iterator[Listening]:
    code = f"import benchmarks.dimse as b; b.receive({str(folder)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    port, out = process.stdout.readline().split()
    try:
        yield Listening(port=int(port), pid=process.pid, empty=lambda: emptied(Path(out)))
    finally:
        process.communicate("")
        shutil.rmtree(out)


def peak(pid: int) -> float:
    """The most memory that a process ever had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def resident() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def build(folder: Path, count: int, side: int) -> Place:
    """One CT study of objects with random pixels, ``side`` squared."""
    folder.mkdir()
    files = []
    for number in range(count):
        uid = f"2.25.{10**30 + number}"
        dataset = header(uid, study=0, number=number, sop_class=CTImageStorage)
        dataset.Rows = dataset.Columns = side
        path = folder / f"{number:05d}.dcm"
        path.write_bytes(before_pixels(dataset, side * side * 2) + os.urandom(side * side * 2))
        files.append(Outgoing(path=path, sop_class_uid=CTImageStorage, sop_instance_uid=uid))
    return Place(folder=folder.parent, files=files)


# ------------------------------------------------------------------------------------------------------------ peers


def storescu(place: Place, there: Listening) -> float:
    listed = [str(one.path) for one in place.files]
    where = ["-aec", there.called, "127.0.0.1", str(there.port)]
    rate = timed(place.count, ["storescu", "-R", "-pdu", PDU, *where, *listed])
    there.empty()
    return rate


def timed(count: int, command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return count / (time.perf_counter() - begun)


def pynetdicom(place: Place, there: Listening) -> float:
    """pynetdicom as its users would set it up for speed, in this process. A run that loses an answer is run again."""
    from pynetdicom import AE, _config, evt

    _config.STORE_SEND_CHUNKED_DATASET = True

    def nodelay(event: evt.Event) -> None:
        ours = event.assoc.dul.socket
        assert ours is not None
        assert ours.socket is not None
        ours.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    entity = AE(OURS)
    entity.maximum_pdu_size = int(PDU)
    entity.dimse_timeout = 5
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    for _ in range(10):
        begun = time.perf_counter()
        association = entity.associate("127.0.0.1", there.port, evt_handlers=[(evt.EVT_CONN_OPEN, nodelay)])
        statuses = [association.send_c_store(one.path).get("Status") for one in place.files if association.is_alive()]
        association.release()
        rate = place.count / (time.perf_counter() - begun)
        there.empty()
        if statuses == [0] * place.count:
            return rate
    raise RuntimeError("pynetdicom loses an answer in every run")


@contextmanager
def storescp(folder: Path) -> Iterator[Listening]:
    with tempfile.TemporaryDirectory(dir=folder) as out:
        there = Listening(port=free_port(), empty=lambda: emptied(Path(out)))
        with running(["storescp", "-pdu", PDU, "-od", out, str(there.port)], there):
            yield there


@contextmanager
def dcmqrscp(folder: Path, known: dict[AETitle, int] | None = None) -> Iterator[Listening]:
    port = free_port()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        hosts = "".join(f"{title.lower()} = ({title}, 127.0.0.1, {at})\n" for title, at in (known or {}).items())
        configuration = Path(name) / "dcmqrscp.cfg"
        (Path(name) / "objects").mkdir()
        configuration.write_text(
            f"NetworkTCPPort = {port}\nMaxPDUSize = {PDU}\nMaxAssociations = 16\n"
            f"HostTable BEGIN\n{hosts}HostTable END\n"
            "VendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nQR {name}/objects RW (100, 20000mb) ANY\nAETable END\n"
        )
        there = Listening(port=port, called="QR")
        with running(["dcmqrscp", "-c", str(configuration)], there):
            yield there


@contextmanager
def orthanc(folder: Path, known: dict[AETitle, int] | None = None) -> Iterator[Listening]:
    port, http = free_port(), free_port()
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as name:
        configuration = {
            "StorageDirectory": f"{name}/objects", "IndexDirectory": f"{name}/objects", "HttpPort": http,
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DicomAet": "ORTHANC", "DicomPort": port,
            "DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True,
            "DicomAlwaysAllowMove": True, "DicomCheckModalityHost": False, "MaximumPduLength": int(PDU),
            "DicomModalities": {title: [title, "127.0.0.1", at] for title, at in (known or {}).items()},
            "OverwriteInstances": True, "SaveJobs": False, "SyncStorageArea": False,
        }  # fmt: skip
        Path(name, "orthanc.json").write_text(json.dumps(configuration))
        program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
        there = Listening(port=port, called="ORTHANC", empty=lambda: forgotten(f"http://127.0.0.1:{http}/patients"))
        with running([program, f"{name}/orthanc.json"], there):
            yield there


def forgotten(patients: str) -> None:
    """Let Orthanc forget everything."""
    with urllib.request.urlopen(patients, timeout=30) as answer:  # noqa: S310 - of our own making
        known = json.load(answer)
    for patient in known:
        asked = urllib.request.Request(f"{patients}/{patient}", method="DELETE")  # noqa: S310 - of our own making
        urllib.request.urlopen(asked, timeout=60).close()  # noqa: S310 - of our own making


@contextmanager
def running(command: list[str], there: Listening) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 30
        while not _answers(local(there)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not run")
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _answers(peer: Peer) -> bool:
    try:
        with request(peer, QUERY[:1]) as association:
            echo(association)
    except ArchiveError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as holding:
        holding.bind(("127.0.0.1", 0))
        return int(holding.getsockname()[1])


@contextmanager
def answering(count: int) -> Iterator[int]:
    """A process that answers every query with ``count`` studies, as fast as they are taken."""
    listener = socket.create_server(("127.0.0.1", 0))
    pid = os.fork()
    if not pid:
        try:
            _answer_queries(listener, count)
        finally:
            os._exit(1)
    port = int(listener.getsockname()[1])
    listener.close()
    try:
        yield port
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _answer_queries(listener: socket.socket, count: int) -> None:
    def message(status: int, message_id: int, data: bytes = b"") -> bytes:
        elements: dict[int, int | str] = {
            cs.AFFECTED_CLASS: STUDY_ROOT_FIND, cs.FIELD: 0x8020, cs.RESPONDED_TO: message_id,
            cs.DATA_SET_TYPE: 1 if data else 0x0101, cs.STATUS: status,
        }  # fmt: skip
        command = cs.encode(elements)
        pieces = [(3, command)] + ([(2, data)] if data else [])
        return b"".join(
            struct.pack(">BxLLBB", 4, len(piece) + 6, len(piece) + 2, 1, control) + piece for control, piece in pieces
        )

    def one(number: int) -> bytes:
        return write(
            {
                0x00080020: "20240229", 0x00080052: "STUDY", 0x00080061: "CT", 0x00100010: f"Bench^{number}",
                0x00100020: f"B{number:06d}", 0x0020000D: f"2.25.{10**30 + number}",
            },
            "1.2.840.10008.1.2.1",
        )  # fmt: skip

    found: dict[int, bytes] = {}
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reading = connection.makefile("rb")

            def body(reading: object = reading) -> bytes:
                _, length = struct.unpack(">BxL", reading.read(6))  # type: ignore[attr-defined]
                return bytes(reading.read(length))  # type: ignore[attr-defined]

            asked = negotiation.decode(body())
            results = tuple(
                Result(id=one.id, result=0, transfer_syntax="1.2.840.10008.1.2.1") for one in asked.proposed
            )
            connection.sendall(
                negotiation.encode(2, Negotiation(called="A", calling="B", max_pdu=int(PDU), results=results))
            )
            message_id = cs.required(cs.decode(body()[6:]), cs.MESSAGE_ID)
            body()
            if message_id not in found:
                found[message_id] = b"".join(message(0xFF00, message_id, one(number)) for number in range(count))
            connection.sendall(found[message_id] + message(0, message_id))
            reading.read(10)
            connection.sendall(b"\6\0\0\0\0\4\0\0\0\0")


if __name__ == "__main__":
    for result in run("--quick" in sys.argv):
        print(result)
