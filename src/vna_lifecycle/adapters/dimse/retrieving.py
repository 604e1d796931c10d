"""Fetching by C-MOVE or C-GET: what an archive says of a retrieval is a claim, and what has arrived is counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from attrs import define, field, frozen

from vna_lifecycle.adapters.dimse import answers as at
from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.classes import storage_classes
from vna_lifecycle.adapters.dimse.listing import Lister
from vna_lifecycle.adapters.dimse.lobby import Lobby
from vna_lifecycle.adapters.dimse.reception import SYNTAXES
from vna_lifecycle.adapters.dimse.staging import Staging
from vna_lifecycle.adapters.dimse.ticket import Inline, Ticket
from vna_lifecycle.adapters.dimse.wire import (
    Association,
    Context,
    Progress,
    get,
    move,
)
from vna_lifecycle.adapters.dimse.wire.peer import MAX_CONTEXTS
from vna_lifecycle.adapters.dimse.wire.status import failed, is_transient, words
from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import Availability, InstanceRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Spool

_LOG: Final = logging.getLogger(__name__)
_UNKNOWN_DESTINATION: Final = 0xA801
_SUCCESS: Final = 0x0000
_UIDS_AT_ONCE: Final = 64
_LOST_IN_A_ROW: Final = 5
"""Single objects that are asked for in vain before the others are given up."""

_FAR: Final = frozenset({Availability.OFFLINE, Availability.UNAVAILABLE})
_CLASSES_AT_ONCE: Final = (MAX_CONTEXTS - 1) // len(SYNTAXES)


@frozen(kw_only=True)
class Errand:
    """One retrieval: its level and keys, and the records that it is to bring."""

    keys: dict[int, str]
    records: tuple[InstanceRecord, ...] = field(repr=False)


@define
class _Said:
    """What an archive said to the retrievals of one study, and how the last lost association ended.

    ``handshakes`` are the ways in which connections to our port ended in the meantime without getting through TLS.
    ``nothing_came`` says so where not one object came to our port.
    """

    statuses: list[int] = field(factory=list)
    lost: ArchiveError | None = None
    handshakes: tuple[str, ...] = ()
    nothing_came: str = ""


class Retriever:
    """Fetches objects of one archive."""

    def __init__(self, caller: Caller, lister: Lister, lobby: Lobby) -> None:
        self._caller = caller
        self._lister = lister
        self._lobby = lobby
        self._settings = caller.settings
        self._cancelled = caller.site.cancelled
        self._staging = Staging(caller.site, caller.settings.nearline_patience)

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted object, asked for at study, then at series, then at image level; every content that it has.

        Raises:
            ArchiveError: the archive cannot be reached, does not know us as a destination, or fails at every try.
            StorageError: the spool has no room.
        """
        self._lister.learn(wanted)
        near: list[InstanceRecord] = []
        now = self._availability_now(study, wanted)
        for record in wanted:
            where = now.get(record.locator, record.availability)
            if where in _FAR:
                message = "the archive says that this object is offline; have it brought online"
                yield FetchFailure(record=record, code="offline", message=message, withheld=True)
            elif where is Availability.NEARLINE and self._settings.nearline == "list":
                message = "the archive says that this object is nearline; have it staged"
                yield FetchFailure(record=record, code="nearline", message=message, withheld=True)
            else:
                near.append(record)
        if not near:
            return
        ticket = Ticket(near, spool, self._settings.calling_ae_title)
        said, begun = _Said(), time.monotonic()
        with self._lobby.waiting(ticket):
            for tell in (self._first, self._by_series, self._one_by_one):
                missing = ticket.missing()
                if not missing or self._cancelled.is_set() or self._lies_nearline(study, missing, said):
                    break
                yield from tell(study, missing, ticket, said)
        if self._cancelled.is_set():
            self._discard(ticket)
            return
        missing = ticket.missing()
        listed = self._lister.instances(study.study_uid) if missing or ticket.extra else ()
        served_others = self._settle_extra(ticket, listed)
        said.handshakes = self._lobby.failed_handshakes(begun)
        if self._settings.retrieve == "move" and not ticket.arrived:
            ours = f"our port ({self._settings.listen_port or 'any free one'})"
            said.nothing_came = f"; nothing came to {ours}: is it open, and entered there under our AE title?"
        available = {record.locator: record.availability for record in listed}
        yield from self._failures(missing, available, said, served_others=served_others)

    def _availability_now(self, study: StudyRef, wanted: Sequence[InstanceRecord]) -> dict[str, Availability]:
        """How near the objects are by now, by locator, where the inventory had some of them far: they may be staged."""
        waits = self._settings.nearline == "list"
        if not any(one.availability in _FAR or (waits and one.availability is Availability.NEARLINE) for one in wanted):
            return {}
        return {record.locator: record.availability for record in self._lister.instances(study.study_uid)}

    def _lies_nearline(self, study: StudyRef, missing: Sequence[InstanceRecord], said: _Said) -> bool:
        """Whether a retrieval was tried of what still lies nearline: to ask for less brings it no sooner."""
        tried = said.statuses or said.lost is not None
        if not tried or not any(one.availability is Availability.NEARLINE for one in missing):
            return False
        now = {record.locator: record.availability for record in self._lister.instances(study.study_uid)}
        return any(now.get(one.locator) is Availability.NEARLINE for one in missing)

    # ---------------------------------------------------------------------------------------------------- the rounds

    def _first(self, study: StudyRef, missing: list[InstanceRecord], ticket: Ticket, said: _Said) -> Iterator[Fetched]:
        """The study as a whole, or, where that has many more objects, the wanted ones."""
        count = max((at.number(one, at.STUDY_INSTANCES) or 0 for one in self._lister.study(study.study_uid)), default=0)
        if self._settings.retrieve == "get" and len(_classes(missing)) > _CLASSES_AT_ONCE:
            errands = self._in_groups(study, missing)
        elif len(missing) * 2 < count:
            errands = self._of_images(study, missing, _UIDS_AT_ONCE)
        else:
            errands = iter([Errand(keys=self._keys("STUDY", study, missing[0]), records=tuple(missing))])
        for errand in errands:
            yield from self._bearing_with(errand, ticket, said)

    def _by_series(
        self, study: StudyRef, missing: list[InstanceRecord], ticket: Ticket, said: _Said
    ) -> Iterator[Fetched]:
        grouped: dict[str, list[InstanceRecord]] = {}
        for record in missing:
            grouped.setdefault(at.place_of(record.locator)[0], []).append(record)
        for series_uid, records in grouped.items():
            keys = self._keys("SERIES", study, records[0]) | {at.SERIES_UID: series_uid}
            yield from self._bearing_with(Errand(keys=keys, records=tuple(records)), ticket, said)

    def _one_by_one(
        self, study: StudyRef, missing: list[InstanceRecord], ticket: Ticket, said: _Said
    ) -> Iterator[Fetched]:
        lost = 0
        for errand in self._of_images(study, missing, 1):
            found = list(self._bearing_with(errand, ticket, said))
            yield from found
            lost = 0 if found else lost + 1
            if lost == _LOST_IN_A_ROW:
                break
        if said.lost is not None and not ticket.arrived:
            raise said.lost

    def _bearing_with(self, errand: Errand, ticket: Ticket, said: _Said) -> Iterator[Fetched]:
        """Run an errand; an association that is lost on the way is borne with: it may be for one object's sake.

        Raises:
            ArchiveError: the archive cannot be reached, or fails in a way that will not pass.
        """
        try:
            yield from self._run(errand, ticket, said)
        except (ArchiveRefused, ArchiveUnreachable):
            raise
        except ArchiveError as problem:
            if not problem.transient:
                raise
            said.lost = problem
            yield from ticket.ready()

    def _run(self, errand: Errand, ticket: Ticket, said: _Said) -> Iterator[Fetched]:
        before = ticket.arrived
        progress: Progress | None = None
        with self._lobby.retrieval(self._caller, _contexts(errand.records)) as (association, message_id):
            ticket.ask(message_id)
            ticket.on_arrival = lambda: self._cancel_if_asked(association, ticket)
            for answer in self._asked(association, errand, ticket, message_id):
                progress = answer
                self._cancel_if_asked(association, ticket)
                yield from ticket.ready()
        ticket.on_arrival = lambda: None
        if ticket.problem is not None:
            raise ticket.problem
        if progress is None or self._cancelled.is_set():
            return
        said.statuses.append(progress.status)
        if progress.status == _UNKNOWN_DESTINATION:
            raise failed("the retrieval", progress.status)
        if self._settings.retrieve != "get":
            self._settle(ticket, progress, before)
        yield from ticket.ready()

    def _asked(self, association: Association, errand: Errand, ticket: Ticket, message_id: int) -> Iterator[Progress]:
        models = self._caller.models
        if self._settings.retrieve == "get":
            return get(association, errand.keys, Inline(ticket), model=models.get)
        return move(association, errand.keys, self._settings.calling_ae_title, model=models.move, message_id=message_id)

    def _settle(self, ticket: Ticket, last: Progress, before: int) -> None:
        """Wait for what is still on its way: a final status may come before the objects that it is about."""
        claimed = last.completed
        if claimed is None and last.status != _SUCCESS:
            return
        ticket.begin()
        ticket.settle(
            self._settings.settle_seconds,
            lambda: self._cancelled.is_set() or (claimed is not None and ticket.arrived - before >= claimed),
        )

    def _cancel_if_asked(self, association: Association, ticket: Ticket) -> None:
        if self._cancelled.is_set() or ticket.problem is not None:
            association.cancel()

    # ------------------------------------------------------------------------------------------------------- its end

    def _failures(
        self,
        missing: Sequence[InstanceRecord],
        available: dict[str, Availability],
        said: _Said,
        *,
        served_others: bool,
    ) -> Iterator[FetchFailure]:
        """Why each object did not come: because it is not there any more, lies nearline, or although it is there."""
        transient = said.lost is not None or any(is_transient(status) for status in said.statuses)
        answer = ", ".join(dict.fromkeys(words(status) for status in said.statuses)) or "nothing"
        nearline = [one for one in missing if available.get(one.locator) is Availability.NEARLINE]
        staging = bool(nearline) and self._staging.goes_on(nearline[0].study_uid)
        if not nearline and missing:
            self._staging.came(missing[0].study_uid)
        for record in missing:
            if available.get(record.locator) is Availability.NEARLINE and not served_others:
                yield self._far(record, answer, goes_on=staging)
            elif record.locator not in available:
                yield FetchFailure(record=record, code="gone", message="the archive does not list this object any more")
            elif served_others:
                message = f"objects with other UIDs came in its place, and are in quarantine; the archive said {answer}"
                yield FetchFailure(record=record, code="other-uids-served", message=message, transient=transient)
            elif said.handshakes:
                message = (
                    "listed, but not sent: a connection to our port did not get through TLS: "
                    f"{'; '.join(said.handshakes)}; the archive said {answer}"
                )
                yield FetchFailure(record=record, code="no-tls-to-us", message=message, transient=transient)
            else:
                message = f"listed, but not sent, however it was asked for; the archive said {answer}"
                message += said.nothing_came
                yield FetchFailure(record=record, code="not-sent", message=message, transient=transient)

    def _far(self, record: InstanceRecord, answer: str, *, goes_on: bool) -> FetchFailure:
        """An object that lies nearline was asked for and did not come; whether it is asked for again."""
        if goes_on:
            message = f"the archive says that this object is nearline, and was asked for it; it said {answer}"
            return FetchFailure(record=record, code="being-staged", message=message, transient=True)
        message = (
            f"the archive says that this object is nearline, and was asked for it for "
            f"{self._settings.nearline_patience:.0f} s in vain; have it staged"
        )
        return FetchFailure(record=record, code="nearline", message=message, withheld=True)

    def _settle_extra(self, ticket: Ticket, listed: Sequence[InstanceRecord]) -> bool:
        """Whether objects came that the archive does not list: they are kept as evidence. Others were not wanted."""
        known = {record.sop_instance_uid for record in listed}
        foreign = [arrival for arrival in ticket.extra if arrival.offer.sop_instance_uid not in known]
        if foreign:
            _LOG.warning("an archive sent objects that it does not list; they are kept in quarantine")
        for arrival in foreign:
            self._lobby.quarantine.keep(arrival.path, arrival.offer)
        self._discard(ticket)
        return bool(foreign)

    def _discard(self, ticket: Ticket) -> None:
        for path in [*(item.path for item in ticket.ready()), *(arrival.path for arrival in ticket.extra)]:
            path.unlink(missing_ok=True)

    # --------------------------------------------------------------------------------------------------- what to ask

    def _keys(self, level: str, study: StudyRef, record: InstanceRecord) -> dict[int, str]:
        keys = {at.LEVEL: level, at.STUDY_UID: str(study.study_uid)}
        if self._settings.query_model == "patient-root":
            keys[at.PATIENT_ID] = record.series.patient_id
        return keys

    def _of_images(self, study: StudyRef, records: Sequence[InstanceRecord], most: int) -> Iterator[Errand]:
        grouped: dict[str, list[InstanceRecord]] = {}
        for record in records:
            grouped.setdefault(at.place_of(record.locator)[0], []).append(record)
        for series_uid, members in grouped.items():
            left = iter(members)
            while chunk := tuple(islice(left, most)):
                uids = "\\".join(at.place_of(record.locator)[1] for record in chunk)
                keys = self._keys("IMAGE", study, chunk[0]) | {at.SERIES_UID: series_uid, at.SOP_UID: uids}
                yield Errand(keys=keys, records=chunk)

    def _in_groups(self, study: StudyRef, records: Sequence[InstanceRecord]) -> Iterator[Errand]:
        """Errands of which none needs more presentation contexts than one association has (PS3.8 9.3.2.2)."""
        classes = iter(_classes(records))
        while group := frozenset(islice(classes, _CLASSES_AT_ONCE)):
            yield from self._of_images(study, [one for one in records if one.sop_class_uid in group], _UIDS_AT_ONCE)


def _classes(records: Sequence[InstanceRecord]) -> list[str]:
    return sorted({record.sop_class_uid for record in records})


def _contexts(records: Sequence[InstanceRecord]) -> list[Context]:
    """For C-GET, one context for each class and syntax, so that each object comes as it is; else one for each class."""
    classes = _classes(records)
    if "" in classes:  # the archive does not tell classes; so the standard's, of which those with images come first
        return [
            Context(abstract_syntax=uid, transfer_syntaxes=SYNTAXES, scp_role=True)
            for uid in storage_classes()[: MAX_CONTEXTS - 1]
        ]
    return [
        Context(abstract_syntax=uid, transfer_syntaxes=(syntax,), scp_role=True)
        for uid in classes
        for syntax in SYNTAXES
    ]
