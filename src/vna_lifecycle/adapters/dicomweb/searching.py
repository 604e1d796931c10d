"""QIDO-RS (PS3.18 10.6): pages turned until nothing more comes, and answers that look capped never taken as whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlencode

from attrs import field, frozen

from vna_lifecycle.adapters.dicomweb import answers as at
from vna_lifecycle.adapters.dicomweb.answers import Answer
from vna_lifecycle.adapters.dicomweb.connection import Connection
from vna_lifecycle.adapters.dicomweb.trouble import TooBroad, status_error
from vna_lifecycle.adapters.habits import known_cap
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.wave import DateRange
from vna_lifecycle.ports import StudyQuery

JSON: Final = "application/dicom+json"
_NOTHING: Final = frozenset({204, 404})
_TOO_FAR: Final = frozenset({400, 413, 416})  # how some archives answer an offset behind their cap
_TOO_BROAD: Final = frozenset({400, 413, 422})
_MORE: Final = re.compile(r"\b299\b.*additional results", re.IGNORECASE)


class Capped(Exception):
    """An answer that may not be whole, and that cannot be continued. ``told``: the archive says that it is not."""

    def __init__(self, *, told: bool) -> None:
        super().__init__()
        self.told = told


@frozen(kw_only=True)
class Page:
    """Answers that came together. ``more``: the archive says that there are more (a warning, PS3.18 8.3.4.4)."""

    answers: list[Answer] = field(factory=list)
    more: bool = False


class Search:
    """Asks one archive. ``trusted``: with fewer answers than this, a page is the last."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.settings = connection.settings
        self.trusted = self.settings.trusted_answers
        self.heed(known_cap(connection.site))

    def heed(self, cap: int | None) -> None:
        """Trust no page that has as many answers as the archive was seen to cut one short at."""
        self.trusted = min(self.trusted, cap or self.trusted)

    def page(
        self, names: Sequence[str], conditions: Mapping[str, str], fields: Sequence[str], *, limit: int, offset: int = 0
    ) -> Page | None:
        """One page of answers; None where the archive would not turn to it.

        Raises:
            ArchiveError: the archive did not answer, or not with what a search gives.
        """
        connection = self.connection
        what = "a search for " + names[-1]
        asked = {**conditions, "limit": str(limit), "offset": str(offset)}
        if not offset:
            del asked["offset"]
        query = urlencode(asked, safe="*", quote_via=quote) + "".join(f"&includefield={tag}" for tag in fields)
        path = connection.path(self.settings.qido_prefix, *names) + "?" + query

        def ask() -> Page | None:
            with connection.request(path, what, accept=JSON) as answer:
                if answer.status in _NOTHING and (answer.status == 204 or len(names) > 1 or offset):
                    return Page()
                if answer.status in _TOO_FAR and offset:
                    return None
                if answer.status not in (200, 206):
                    problem = status_error(
                        connection.archive, answer.status, answer.headers, connection.site.clock(), what
                    )
                    if answer.status in _TOO_BROAD:
                        raise TooBroad(str(problem), archive=connection.archive, hint=problem.hint)
                    raise problem
                more = any(map(_MORE.search, answer.headers.getlist("Warning")))
                try:
                    return Page(answers=at.answers_of(connection.json(answer, what)), more=more)
                except ValueError:
                    message = f"{connection.archive}: the answer to {what} is no list of data sets"
                    hint = "is this the URL of a DICOMweb service?"
                    raise ArchiveError(message, archive=connection.archive, hint=hint) from None

        return connection.again(ask)

    def all(
        self,
        names: Sequence[str],
        conditions: Mapping[str, str],
        fields: Sequence[str],
        unique: str,
        *,
        expected: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Answer]:
        """Every answer, those that come again included once. ``unique`` is the UID that tells them apart.

        ``expected`` is how many there are, if that is known: then no more is asked for than is needed. ``limit`` is how
        many are asked for at a time, if not as many as the settings say. A page with more of them is believed as little
        as one that is full: such an archive has a limit of its own, or none.

        Raises:
            Capped: there may be more, which the archive would not tell.
            ArchiveError: the archive did not answer.
        """
        limit = limit or self.settings.page_size
        seen: set[str] = set()
        offset = 0
        more = moved = False
        while True:
            page = self.page(names, conditions, fields, limit=limit, offset=offset)
            if page is None:
                raise Capped(told=more)
            uids = {one.text(unique) for one in page.answers}
            if not uids <= seen:
                moved = moved or not seen.isdisjoint(uids)  # what comes again stands for something that does not come
                yield from (one for one in page.answers if one.text(unique) not in seen)
                seen |= uids
            elif uids or more:  # the offset was ignored
                if len(seen) == expected:
                    return
                raise Capped(told=more)
            offset += len(page.answers)
            more = page.more
            if expected is not None and len(seen) >= expected and not more:
                return
            if len(page.answers) < min(limit, self.trusted) and not more:
                break
        if moved:
            raise Capped(told=False)


def conditions_of(query: StudyQuery) -> dict[str, str]:
    """A query's conditions as parameters, never narrower than it: what answers is compared with it again."""
    wanted = {
        "StudyInstanceUID": query.study_uid,
        "PatientID": query.patient_id,
        "PatientName": _wide(query.patient_name),
        "AccessionNumber": query.accession_number,
        "ModalitiesInStudy": query.modality,
        "StudyDescription": _wide(query.description),
        "StudyDate": "" if query.studied is None else range_of(query.studied),
    }
    return {name: value for name, value in wanted.items() if value}


def range_of(days: DateRange) -> str:
    """A range of dates as searches have it (PS3.4 C.2.2.2.5)."""
    first = f"{days.first:%Y%m%d}" if days.first else ""
    last = f"{days.last:%Y%m%d}" if days.last else ""
    return f"{first}-{last}" if first or last else ""


def _wide(pattern: str) -> str:
    """``*`` for what URLs must quote: archives fold such text differently, and some do not undo the quoting."""
    return re.sub(r"[^A-Za-z0-9._~-]+", "*", pattern)
