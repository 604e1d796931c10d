"""What a DICOMweb archive was seen to do: pages, fields, caps, and whether it serves objects as they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.dicomweb import answers as at
from vna_lifecycle.adapters.dicomweb.connection import Connection
from vna_lifecycle.adapters.dicomweb.reading import Reader
from vna_lifecycle.adapters.dicomweb.searching import Search
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.ports import Fetched, Observation

_UNKNOWN: Final = "not known: too few studies"


class Probing:
    """The asking side of an archive. Nothing is changed."""

    def __init__(self, connection: Connection, reader: Reader) -> None:
        self._connection = connection
        self._search = Search(connection)
        self._reader = reader

    def probe(self) -> Iterator[Observation]:
        """Tell what the archive answers.

        Raises:
            ArchiveError: nobody answers.
        """
        first = self._search.page(["studies"], {}, at.STUDY_FIELDS, limit=2) or []
        second = self._search.page(["studies"], {}, at.STUDY_FIELDS, limit=2, offset=1)
        yield Observation(name="limit", value=_limit(len(first)))
        yield Observation(name="paging", value=_paging(first, second))
        told = [answer for answer in first if answer.number(at.INSTANCE_COUNT) is not None]
        fields = "honoured" if told else "ignored" if first else _UNKNOWN
        yield Observation(name="includefield", value=fields)
        size = self._connection.settings.page_size
        page = self._search.page(["studies"], {}, (), limit=size) or []
        yield Observation(name="answers-to-one-page", value=str(len(page)), unit=f"of {size} asked for")
        if first:
            yield Observation(name="objects", value=self._objects(StudyUID(first[0].text(at.STUDY_UID))))

    def _objects(self, study_uid: StudyUID) -> str:
        study = StudyRef(study_uid=study_uid)
        record = next(iter(self._reader.list_briefly(study)), None)
        if record is None:
            return "none listed in the first study"
        with TemporaryDirectory(dir=self._connection.site.workspace) as folder:
            for item in self._reader.fetch(study, [record], _Aside(Path(folder))):
                if not isinstance(item, Fetched):
                    return f"cannot be retrieved: {item.code}"
                try:
                    served = scan_file(item.path, locator="").transfer_syntax
                except DicomRefused as refusal:
                    return f"not readable: {refusal.code}"
                if not record.transfer_syntax:
                    return f"served in transfer syntax {served}; the archive does not tell the stored one"
                same = served == record.transfer_syntax
                return "served as stored" if same else f"re-encoded: {record.transfer_syntax} comes as {served}"
        return "not looked at"


@frozen
class _Aside:
    """A spool for one object that is only looked at."""

    folder: Path

    def new_file(self, size: int | None = None) -> Path:
        """Its path."""
        return self.folder / "sample.dcm"


def _limit(count: int) -> str:
    return "honoured" if count == 2 else "ignored" if count > 2 else _UNKNOWN


def _paging(first: list[at.Answer], second: list[at.Answer] | None) -> str:
    if second is None:
        return "refused"
    if len(first) < 2:
        return _UNKNOWN
    return "honoured" if second and second[0] == first[1] else "ignored, or in no stable order"
