"""WADO-RS (PS3.18 10.4): objects as they are stored, streamed into the spool, series by series or one by one.

A series is one answer, of which what is missing or broken is asked for singly before it counts as such.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeAlias

from urllib3 import BaseHTTPResponse

from vna_lifecycle.adapters.dicomweb.connection import Connection
from vna_lifecycle.adapters.dicomweb.multipart import BadMultipart, Parts, boundary_of
from vna_lifecycle.adapters.dicomweb.receiving import (
    Breaks,
    NotAnObject,
    ObjectFile,
    TooLarge,
    receive_one,
    unreadable_as,
)
from vna_lifecycle.adapters.dicomweb.trouble import BrokenAnswer, broken, status_error
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import ArchiveError, DicomRefused
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Spool

AS_STORED: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_RETRIEVAL: Final = "a retrieval"
_SURPLUS: Final = 20  # objects of a series that nobody wants, after which the wanted ones are asked for singly
_NO_OBJECT: Final = (
    "the archive serves {}, and not the object as it stores it; nothing is put together from pieces: "
    "take it over DIMSE, or from the archive's files"
)
_BREAKS_OFF: Final = (
    "the archive breaks off the object at the same place each time, {}, as servers do that cannot count to 2 GiB: "
    "take it over DIMSE, or from the archive's files"
)
_Result: TypeAlias = Fetched | FetchFailure
_FAILURES: Final = {
    404: ("missing-instance", "the archive has no such instance, or has it no more"),
    410: ("missing-instance", "the archive says that the instance is gone"),
    406: ("not-acceptable", "the archive does not serve the instance as it is stored"),
}


class Fetching:
    """Retrieves from one archive."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._spooling = threading.Lock()

    def fetch(self, wanted: Sequence[InstanceRecord], spool: Spool) -> Iterator[_Result]:
        """Each wanted instance as a spool file, or why it cannot be had.

        Raises:
            ArchiveError: the archive does not answer, or would not have us.
            DiskFull: the spool has no room.
        """
        groups: dict[tuple[str, str], list[InstanceRecord]] = {}
        for record in wanted:
            place = _place(record)
            if place is None:
                yield _failure(record, "bad-locator", "this archive issued no such locator")
            else:
                groups.setdefault(place[:2], []).append(record)
        if not groups:
            return
        run = _Run(self._connection, spool, self._spooling)
        workers = min(self._connection.settings.connections, len(groups))
        with ThreadPoolExecutor(workers, thread_name_prefix="wado") as pool:
            futures = [pool.submit(run.group, place, records) for place, records in groups.items()]
            try:
                left = len(futures)
                while left:
                    item = run.out.get()
                    if isinstance(item, BaseException):
                        raise item
                    if item is None:
                        left -= 1
                    else:
                        yield item
            finally:
                run.stopped.set()
                for future in futures:
                    future.cancel()


class _Run:
    """One call of `Fetching.fetch`: its threads put results to ``out``, and None when a group is done."""

    def __init__(self, connection: Connection, spool: Spool, spooling: threading.Lock) -> None:
        self._connection = connection
        self._spool = spool
        self._spooling = spooling
        self.out: SimpleQueue[_Result | BaseException | None] = SimpleQueue()
        self.stopped = threading.Event()

    def group(self, place: tuple[str, str], records: Sequence[InstanceRecord]) -> None:
        """Fetch what is wanted of one series."""
        try:
            missing = list(records)
            if len(records) > 1:
                missing = self._series(place, records)
            for record in missing:
                if self._ended():
                    break
                self.out.put(self._single(record))
            self.out.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the results are read
            self.out.put(error)

    def _ended(self) -> bool:
        return self.stopped.is_set() or self._connection.site.cancelled.is_set()

    def _series(self, place: tuple[str, str], records: Sequence[InstanceRecord]) -> list[InstanceRecord]:
        """What of a series did not come in one answer."""
        left = {record.locator.rpartition("/")[2]: record for record in records}
        twins = [record for record in records if left[record.locator.rpartition("/")[2]] is not record]
        connection = self._connection
        path = connection.path(connection.settings.wado_prefix, "studies", place[0], "series", place[1])
        try:
            with connection.request(path, _RETRIEVAL, accept=AS_STORED) as answer:
                if answer.status in (200, 206):
                    self._take(answer, left)
        except (BadMultipart, BrokenAnswer, TooLarge):
            pass  # what did not come is asked for singly
        except ArchiveError as error:
            if not error.transient:
                raise
        return [*left.values(), *twins]

    def _take(self, answer: BaseHTTPResponse, left: dict[str, InstanceRecord]) -> None:
        boundary = boundary_of(answer.headers.get("Content-Type", ""))
        parts = Parts(self._connection.chunks(answer), boundary)
        surplus = 0
        while left and surplus <= _SURPLUS and not self._ended() and parts.next():
            path = self._new_file(None)
            uid = ""
            try:
                with ObjectFile(path, self._connection.settings.largest_object) as file:
                    parts.read(file.write)
                uid = scan_file(path, locator="").sop_instance_uid
            except DicomRefused:
                pass
            finally:
                record = left.pop(uid, None)
                if record is None:
                    path.unlink(missing_ok=True)
                    surplus += 1
            if record is not None:
                self.out.put(Fetched(record=record, path=path))

    def _single(self, record: InstanceRecord) -> _Result:
        place = _place(record) or ("", "", "")
        connection = self._connection
        names = ("studies", place[0], "series", place[1], "instances", place[2])
        url = connection.path(connection.settings.wado_prefix, *names)
        path = self._new_file(record.size)
        breaks = Breaks()

        def ask() -> FetchFailure | None:
            with connection.request(url, _RETRIEVAL, accept=AS_STORED) as answer:
                if answer.status not in (200, 206):
                    return _refused(record, answer, connection)
                content_type = answer.headers.get("Content-Type", "")
                chunks = breaks.counted(answer.headers.get("Content-Length"), connection.chunks(answer))
                try:
                    with ObjectFile(path, connection.settings.largest_object) as file:
                        kind = receive_one(content_type, chunks, file)
                except BadMultipart as problem:
                    raise broken(connection.archive, _RETRIEVAL, str(problem)) from None
            return _other(record, path, kind)

        def ask_and_see() -> FetchFailure | None:
            try:
                return ask()
            except BrokenAnswer:
                if breaks.again():
                    return _failure(record, "breaks-off-large", _BREAKS_OFF.format(breaks.place()))
                raise

        try:
            failure = connection.again(ask_and_see)
        except BrokenAnswer as error:
            failure = _failure(record, "broken-answer", str(error), transient=True)
        except TooLarge as problem:
            failure = _failure(record, "too-large", str(problem))
        except NotAnObject as problem:
            failure = _failure(record, "no-object", _NO_OBJECT.format(problem))
        if failure is not None:
            path.unlink(missing_ok=True)
            return failure
        return Fetched(record=record, path=path)

    def _new_file(self, size: int | None) -> Path:
        with self._spooling:
            return self._spool.new_file(size)


def _refused(record: InstanceRecord, answer: BaseHTTPResponse, connection: Connection) -> FetchFailure:
    code, message = _FAILURES.get(answer.status, ("refused", f"the archive answered with HTTP status {answer.status}"))
    if answer.status >= 500:
        return _failure(record, "server-error", message, transient=True)
    if answer.status < 400:
        raise status_error(connection.archive, answer.status, answer.headers, connection.site.clock(), _RETRIEVAL)
    return _failure(record, code, message)


def _other(record: InstanceRecord, path: Path, kind: str) -> FetchFailure | None:
    """Whether another instance came than the one that was asked for, or none.

    What came as an object and is unreadable is told by whoever reads it.
    """
    try:
        found = scan_file(path, locator="").sop_instance_uid
    except DicomRefused:
        what = unreadable_as(kind)
        return _failure(record, "no-object", _NO_OBJECT.format(what)) if what else None
    if found == record.locator.rpartition("/")[2]:
        return None
    return _failure(record, "uid-mismatch", "the archive served an object with another SOP Instance UID")


def _failure(record: InstanceRecord, code: str, message: str, *, transient: bool = False) -> FetchFailure:
    return FetchFailure(record=record, code=code, message=message, transient=transient)


def _place(record: InstanceRecord) -> tuple[str, str, str] | None:
    names = record.locator.split("/")
    if len(names) != 3 or any(name in ("", ".", "..") for name in names):
        return None
    return names[0], names[1], names[2]
