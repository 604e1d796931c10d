"""What a DICOMweb archive was seen to do: pages, fields, caps, and whether it serves objects as they are stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.dicomweb import answers as at
from vna_lifecycle.adapters.dicomweb.answers import Answer
from vna_lifecycle.adapters.dicomweb.capping import Look, look
from vna_lifecycle.adapters.dicomweb.metadata import lacks
from vna_lifecycle.adapters.dicomweb.reading import Reader
from vna_lifecycle.adapters.dicomweb.trouble import TooBroad
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Fetched, Observation

_UNKNOWN: Final = "not known: too few studies"
_NARROWER: Final = "inventories divide by date, time and Patient ID until nothing is hidden"
_FEW: Final = 2
"""Studies that are asked for to see what becomes of limit and offset."""


class Probing:
    """The asking side of an archive. Nothing is changed."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._search = reader.search
        self._settings = reader.search.settings

    def probe(self) -> Iterator[Observation]:
        """Tell what the archive answers.

        Raises:
            ArchiveError: nobody answers.
        """
        first, second = self._page(), self._page(offset=1)
        seen = look(self._search)
        yield Observation(name="limit", value=_limit(first))
        yield Observation(name="paging", value=_paging(first, second))
        told = any(answer.number(at.INSTANCE_COUNT) is not None for answer in first or ())
        fields = "honoured" if told else "ignored" if first else _UNKNOWN
        yield Observation(name="includefield", value=fields)
        yield Observation(name="answers-to-one-search", value=_answers(seen))
        if seen.cap is not None:
            yield Observation(name="answer-cap", value=str(seen.cap), unit="studies")
        if first:
            study = StudyRef(study_uid=StudyUID(first[0].text(at.STUDY_UID)))
            records = list(self._reader.list_briefly(study))
            yield Observation(name="metadata", value=self._metadata(study, records))
            yield Observation(name="objects-served", value=self._objects(study, records))

    def _page(self, offset: int = 0) -> list[Answer] | None:
        """Two studies, as they are asked for here; None where the archive would not turn to them."""
        try:
            page = self._search.page(["studies"], {}, at.STUDY_FIELDS, limit=2, offset=offset)
        except TooBroad:
            return None
        return None if page is None else page.answers

    def _metadata(self, study: StudyRef, records: Sequence[InstanceRecord]) -> str:
        """Whether series must be asked for their metadata, and whether that is of use."""
        lacking = lacks(records)
        if not records:
            return "not known: no instance is listed in the first study"
        if not lacking:
            return "not needed: searches tell SOP class and modality"
        needed = f"needed: searches do not tell {' and '.join(lacking)}"
        if self._settings.metadata == "never":
            return f'{needed}; not asked for: set metadata = "when-needed"'
        still = lacks(list(self._reader.list_instances(study)))
        if still:
            return f'{needed}; nor do metadata tell {" and ".join(still)}: set metadata = "never" to save the requests'
        return f"{needed}; metadata do, which costs one more request for each series"

    def _objects(self, study: StudyRef, records: Sequence[InstanceRecord]) -> str:
        if not records:
            return "none listed in the first study"
        record = records[0]
        with TemporaryDirectory(dir=self._search.connection.site.workspace) as folder:
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


def _limit(first: Sequence[Answer] | None) -> str:
    if first is None:
        return "refused"
    if len(first) > _FEW:
        return f"ignored: {len(first)} came where {_FEW} were asked for"
    return _UNKNOWN if len(first) < _FEW else "honoured"


def _paging(first: Sequence[Answer] | None, second: Sequence[Answer] | None) -> str:
    if first is None or second is None:
        return f"refused: {_NARROWER}"
    if len(first) < _FEW:
        return _UNKNOWN
    if second and second[0] == first[1]:
        return "honoured"
    if second and second[0] == first[0]:
        return f"ignored: {_NARROWER}"
    return f"in no stable order, so that pages may lack studies: {_NARROWER}"


def _answers(seen: Look) -> str:
    """What an operator must know of caps. The number of a cap is an observation of its own."""
    count = f"{len(seen.found)} of {seen.asked} asked for"
    if seen.too_broad:
        return f"refused, as too many: {_NARROWER}"
    if not seen.found:
        return "not known: the archive shows no study"
    if seen.cap is None:
        return f"{count}, not cut short" if seen.offset == "honoured" else f"{count}; nothing shows a limit"
    if seen.offset == "honoured":
        return f"{count}, then cut short, and continued page by page"
    return f"{count}, then cut short and not continued: {_NARROWER}; its operator should raise that limit"
