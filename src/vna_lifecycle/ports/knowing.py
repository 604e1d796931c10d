"""What is known of an archive beyond its objects: how it behaves, and what its own database says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from attrs import frozen

from vna_lifecycle.model.identity import PatientKey, StudyUID


@frozen(kw_only=True)
class Observation:
    """One thing that an archive was seen to do.

    ``name`` is a stable word, ``value`` text, ``unit`` ``""`` where none applies. With the name ``cannot-store``,
    ``value`` says why nothing would be stored there: ``vna-lifecycle check`` then refuses the archive as a target.
    """

    name: str
    value: str
    unit: str = ""


class ProbesBehaviour(Protocol):
    """Finding out how an archive behaves."""

    def probe(self) -> Iterator[Observation]:
        """Ask without changing anything, and tell what was seen."""
        ...


@frozen(kw_only=True)
class TruthRecord:
    """What a source's own database says of one study. ``""`` and None mean that it does not say.

    ``deleted`` and ``hidden`` studies are not shown to readers there. ``place`` says where the record was found (a line
    of an extract), for messages.
    """

    study_uid: StudyUID
    patient: PatientKey
    accession_number: str = ""
    patient_name: str = ""
    study_date: str = ""
    series_count: int | None = None
    instance_count: int | None = None
    deleted: bool = False
    hidden: bool = False
    place: str = ""


@frozen(kw_only=True)
class TruthFlaw:
    """Something in a source's database that cannot be used. ``place`` says where it is (a line of an extract).

    ``code`` is a stable kebab-case word, ``message`` says what is wrong, without the value. When ``used``, the rest of
    the record counts, as a `TruthRecord` of its own; otherwise none of it does.
    """

    place: str
    code: str
    message: str
    study_uid: str = ""
    used: bool = False


class KnowsTruth(Protocol):
    """A source whose own database can be asked, beyond what the headers say."""

    def truth(self) -> Iterator[TruthRecord | TruthFlaw]:
        """One record for every study that the database knows, deleted and hidden ones too, and what cannot be used.

        Raises:
            ArchiveError: the database does not answer.
            ConfigurationError: the extract cannot be used as a whole.
        """
        ...
