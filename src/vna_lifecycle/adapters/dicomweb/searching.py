"""QIDO-RS (PS3.18 10.6): pages turned until nothing more comes, and answers that look capped never taken as whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlencode

from vna_lifecycle.adapters.dicomweb import answers as at
from vna_lifecycle.adapters.dicomweb.answers import Answer
from vna_lifecycle.adapters.dicomweb.connection import Connection
from vna_lifecycle.adapters.dicomweb.trouble import status_error
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.wave import DateRange
from vna_lifecycle.ports import StudyQuery

JSON: Final = "application/dicom+json"
_NOTHING: Final = frozenset({204, 404})
_TOO_FAR: Final = frozenset({400, 413, 416})  # how some archives answer an offset behind their cap


class Capped(Exception):
    """An answer that is not known to be whole, and that cannot be continued."""


class Search:
    """Asks one archive."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.settings = connection.settings

    def page(
        self, names: Sequence[str], conditions: Mapping[str, str], fields: Sequence[str], *, limit: int, offset: int = 0
    ) -> list[Answer] | None:
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

        def ask() -> list[Answer] | None:
            with connection.request(path, what, accept=JSON) as answer:
                if answer.status in _NOTHING and (answer.status == 204 or len(names) > 1 or offset):
                    return []
                if answer.status in _TOO_FAR and offset:
                    return None
                if answer.status not in (200, 206):
                    raise status_error(connection.archive, answer.status, answer.headers, connection.site.clock(), what)
                try:
                    return at.answers_of(connection.json(answer, what))
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
    ) -> Iterator[Answer]:
        """Every answer, those that come again included once. ``unique`` is the UID that tells them apart.

        ``expected`` is how many there are, if that is known: then no more is asked for than is needed.

        Raises:
            Capped: there may be more, which the archive would not tell.
            ArchiveError: the archive did not answer.
        """
        limit = self.settings.page_size
        seen: set[str] = set()
        before: set[str] = set()
        offset = 0
        while True:
            found = self.page(names, conditions, fields, limit=limit, offset=offset)
            if found is None:
                raise Capped
            uids = {one.text(unique) for one in found}
            if offset and uids and uids <= before:  # the offset was ignored
                if len(seen) < min(limit, self.settings.trusted_answers) or len(seen) == expected:
                    return
                raise Capped
            yield from (one for one in found if one.text(unique) not in seen)
            seen |= uids
            before = uids
            offset += len(found)
            if not found or len(found) > limit or len(found) < min(limit, self.settings.trusted_answers):
                return
            if expected is not None and len(seen) >= expected:
                return


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
