"""One association that is requested of a misbehaving PACS: its answers to each operation (PS3.7 9.1)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from attrs import frozen
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from vna_lifecycle.testing.misbehaving_pacs import pdu
from vna_lifecycle.testing.misbehaving_pacs.faults import Faults
from vna_lifecycle.testing.misbehaving_pacs.holdings import UNIQUE, Held, Holdings, held_of
from vna_lifecycle.testing.misbehaving_pacs.line import MAX_PDU, Ended, Line, Message
from vna_lifecycle.testing.misbehaving_pacs.pdu import Proposal, Request, decoded, encoded

C_STORE, C_GET, C_FIND, C_MOVE, C_ECHO, C_CANCEL = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF
_NAMES: Final = {1: "C-STORE", 0x10: "C-GET", 0x20: "C-FIND", 0x21: "C-MOVE", 0x30: "C-ECHO", 0xFFF: "C-CANCEL"}
_PENDING: Final = 0xFF00
_CANCELLED: Final = 0xFE00
_UNKNOWN_DESTINATION: Final = 0xA801
_NOT_OF_THE_CLASS: Final = 0xA900
_PATIENT_ROOT: Final = "1.2.840.10008.5.1.4.1.2.1."
_IMPLICIT: Final = "1.2.840.10008.1.2"
_AFTER_FINAL_SECONDS: Final = 0.2


class Pacs(Protocol):
    """What a conversation needs of the PACS."""

    @property
    def title(self) -> str:
        """Its AE title."""
        ...

    @property
    def faults(self) -> Faults:
        """What it does wrong now."""
        ...

    @property
    def holdings(self) -> Holdings:
        """What it holds."""
        ...

    def note(self, what: str) -> None:
        """Something was asked."""
        ...

    def dial(self, destination: str) -> Line | None:
        """A connection to the receiver that has this AE title, None where no such one is known."""
        ...


@frozen(kw_only=True)
class _Retrieval:
    """A retrieval: where its objects go, by a function that sends one and returns the status."""

    message: Message
    held: Sequence[Held]
    send: Callable[[Held], int]


class Conversation:
    """Answers one association."""

    def __init__(self, pacs: Pacs, line: Line) -> None:
        self._pacs = pacs
        self._line = line
        self._accepted: dict[int, str] = {}
        self._abstract: dict[int, str] = {}
        self._cancelled = False
        self._calling = ""

    def run(self) -> None:
        """Negotiate, then answer until the other side ends it."""
        kind, body = self._line.read_pdu()
        if kind != pdu.ASSOCIATE_RQ:
            return
        request = pdu.read_request(body)
        faults = self._pacs.faults
        if faults.reject is not None:
            self._line.send(pdu.pdu(pdu.ASSOCIATE_RJ, bytes((0, *faults.reject))))
            return
        self._negotiate(request, faults)
        while True:
            self._answer(self._line.next_message())

    def _negotiate(self, request: Request, faults: Faults) -> None:
        willing = [one for one in request.proposals if one.abstract_syntax not in faults.unwilling]
        self._calling = request.calling
        self._abstract = {one.id: one.abstract_syntax for one in willing}
        self._accepted = {one.id: one.transfer_syntaxes[0] for one in willing}
        self._line.max_send = min(request.max_pdu or MAX_PDU, MAX_PDU)
        self._line.send(pdu.acceptance(request, self._accepted, MAX_PDU))

    def _answer(self, message: Message) -> None:
        field = int(message.command.CommandField)
        query = Dataset()
        if field in (C_FIND, C_GET, C_MOVE) and message.data is not None:
            query = decoded(message.data, self._accepted[message.context])
        self._pacs.note(f"{_NAMES.get(field, hex(field))} {query.get('QueryRetrieveLevel', '')}".strip())
        self._cancelled = False
        if field == C_ECHO:
            self._respond(message, 0)
        elif field == C_FIND:
            self._find(message, query)
        elif field == C_STORE:
            self._respond(message, self._keep(message))
        elif field == C_GET:
            self._get(message, query)
        elif field == C_MOVE:
            self._move(message, query)

    # ----------------------------------------------------------------------------------------------- query and store

    def _find(self, message: Message, query: Dataset) -> None:
        faults = self._pacs.faults
        if status := self._misplaced(message, query) or faults.refuse(query):
            self._respond(message, status)
            return
        implicit = self._accepted[message.context] == _IMPLICIT
        for answer in self._pacs.holdings.answers(query, faults):
            study = str(answer.get("StudyInstanceUID") or query.get("StudyInstanceUID"))
            if study in faults.garbled and query.QueryRetrieveLevel in faults.garbled_at:
                self._line.put(faults.garbled_pdu)
                raise Ended
            self._respond(message, _PENDING, data=encoded(answer, implicit=implicit))
            if self._is_cancelled():
                self._respond(message, _CANCELLED)
                return
        self._respond(message, 0)

    def _misplaced(self, message: Message, query: Dataset) -> int:
        """A900 where a hierarchical query lacks one value for the unique key of a level above its own, else 0."""
        if not self._pacs.faults.hierarchical:
            return 0
        patient_root = self._abstract[message.context].startswith(_PATIENT_ROOT)
        levels = list(UNIQUE) if patient_root else list(UNIQUE)[1:]
        level = str(query.QueryRetrieveLevel)
        above = levels[: levels.index(level)] if level in levels else levels
        lacking = any(not (value := str(query.get(UNIQUE[one]) or "")) or set("*?\\[") & set(value) for one in above)
        return _NOT_OF_THE_CLASS if lacking or level not in levels else 0

    def _keep(self, message: Message) -> int:
        faults = self._pacs.faults
        held = held_of(message.data or b"", self._accepted[message.context])
        if held.uid not in faults.lost:
            self._pacs.holdings.take(held.changed(faults.coerced) if faults.coerced else held)
        return faults.store_status

    # ----------------------------------------------------------------------------------------------------- retrievals

    def _get(self, message: Message, query: Dataset) -> None:
        if status := self._misplaced(message, query):
            self._respond(message, status)
            return
        contexts = {(self._abstract[number], syntax): number for number, syntax in self._accepted.items()}

        def send(held: Held) -> int:
            context = contexts.get((held.sop_class, held.transfer_syntax))
            if context is None:
                return 0x0122
            self._line.tell(context, store_request(held), held.data)
            return self._store_status()

        self._retrieve(_Retrieval(message=message, held=list(self._chosen(query)), send=send))

    def _move(self, message: Message, query: Dataset) -> None:
        if status := self._misplaced(message, query):
            self._respond(message, status)
            return
        held = list(self._chosen(query))
        line = self._pacs.dial(str(message.command.MoveDestination).strip())
        if line is None:
            self._respond(message, _UNKNOWN_DESTINATION)
            return
        kinds = sorted({(one.sop_class, one.transfer_syntax) for one in held})
        numbers = {kind: 2 * place + 1 for place, kind in enumerate(kinds)}
        proposals = [
            Proposal(id=number, abstract_syntax=kind[0], transfer_syntaxes=(kind[1],))
            for kind, number in numbers.items()
        ]
        agreed: set[int] | None = None

        def send(one: Held) -> int:
            nonlocal agreed
            number = numbers[one.sop_class, one.transfer_syntax]
            try:
                if agreed is None:
                    title = str(message.command.MoveDestination).strip()
                    line.send(pdu.association_request(title, self._pacs.title, proposals, MAX_PDU))
                    _, body = line.read_pdu()
                    agreed = pdu.read_acceptance(body)
                if number not in agreed:
                    return 0x0122
                request = store_request(one)
                if not self._pacs.faults.no_originator:
                    request.MoveOriginatorApplicationEntityTitle = self._calling
                    request.MoveOriginatorMessageID = message.command.MessageID
                line.tell(number, request, one.data)
                return int(line.next_message().command.Status)
            except Ended:
                agreed = set()
                return 0xA702

        try:
            self._retrieve(_Retrieval(message=message, held=held, send=send))
        finally:
            line.hang_up()

    def _retrieve(self, retrieval: _Retrieval) -> None:
        faults = self._pacs.faults
        message, total = retrieval.message, len(retrieval.held)
        final = faults.retrieve_status
        if faults.final_early:
            self._respond(message, final or 0, counters=(None, total, 0))
            time.sleep(_AFTER_FINAL_SECONDS)
        done = failed = 0
        for left, held in zip(range(total - 1, -1, -1), retrieval.held, strict=True):
            if self._is_withheld(held, message):
                done += 1
                continue
            if held.uid in faults.poison:
                self._line.put(faults.poison_pdu)
                raise Ended
            status = retrieval.send(held)
            done, failed = (done, failed + 1) if status else (done + 1, failed)
            if faults.final_early:
                continue
            if self._is_cancelled():
                self._respond(message, _CANCELLED, counters=(left, done, failed))
                return
            self._respond(message, _PENDING, counters=(left, done, failed))
        if not faults.final_early:
            status = final if final is not None else 0xB000 if failed else 0
            self._respond(message, status, counters=(None, done, failed))

    def _is_withheld(self, held: Held, message: Message) -> bool:
        faults = self._pacs.faults
        query = decoded(message.data or b"", self._accepted[message.context])
        return held.uid in faults.withheld and query.QueryRetrieveLevel in faults.withheld_at

    def _chosen(self, query: Dataset) -> Iterator[Held]:
        for held in self._pacs.holdings.named(query):
            yield held.changed({"SOPInstanceUID": str(generate_uid())}) if self._pacs.faults.new_uids else held
            if self._pacs.faults.twins:
                yield held.changed(self._pacs.faults.twins)

    def _store_status(self) -> int:
        """The answer to a C-STORE over this association; a C-CANCEL may come before it."""
        while True:
            message = self._line.next_message()
            if message.command.CommandField != C_CANCEL:
                return int(message.command.Status)
            self._hear_cancel()

    def _is_cancelled(self) -> bool:
        if not self._pacs.faults.deaf and self._line.waiting():
            self._line.next_message()
            self._hear_cancel()
        return self._cancelled

    def _hear_cancel(self) -> None:
        self._pacs.note("C-CANCEL")
        self._cancelled = not self._pacs.faults.deaf

    def _respond(
        self,
        message: Message,
        status: int,
        *,
        data: bytes | None = None,
        counters: tuple[int | None, int, int] | None = None,
    ) -> None:
        asked = message.command
        answer = Dataset()
        answer.AffectedSOPClassUID = asked.AffectedSOPClassUID
        answer.CommandField = asked.CommandField | 0x8000
        answer.MessageIDBeingRespondedTo = asked.MessageID
        if asked.CommandField == C_STORE:
            answer.AffectedSOPInstanceUID = asked.AffectedSOPInstanceUID
        answer.Status = status
        if counters is not None and not self._pacs.faults.no_counters:
            remaining, done, failed = counters
            if remaining is not None:
                answer.NumberOfRemainingSuboperations = remaining
            answer.NumberOfCompletedSuboperations = done
            answer.NumberOfFailedSuboperations = failed
            answer.NumberOfWarningSuboperations = 0
        self._line.tell(message.context, answer, data)


def store_request(held: Held) -> Dataset:
    """The command set of a C-STORE."""
    request = Dataset()
    request.AffectedSOPClassUID = held.sop_class
    request.CommandField = C_STORE
    request.MessageID = 1
    request.Priority = 0
    request.AffectedSOPInstanceUID = held.uid
    return request
