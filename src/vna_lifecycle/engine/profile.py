"""How an archive behaves: what it was seen to do when asked, and what its latest inventory shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from attrs import asdict, frozen

from vna_lifecycle.catalog.measuring import Measures
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.model.event import ProfileRecorded
from vna_lifecycle.ports import Observation, ProbesBehaviour

_TOLD: Final = 10
_EXTENT: Final = frozenset({"files-looked-at", "files-sampled"})
"""What says how much was looked at, not how an archive behaves."""

_LARGEST: Final = "largest-object"
_NOT_STATED: Final = "none stated"

WORDS: Final[Mapping[str, str]] = {
    # name of an observation: what it says, in a person's words. Names that are not here speak for themselves.
    "studies": "studies",
    "objects": "objects",
    "bytes": "size of all objects",
    "modalities": "modalities",
    "sop-classes": "kinds of object (SOP classes)",
    "transfer-syntaxes": "encodings (transfer syntaxes)",
    "character-sets": "character sets of text",
    "largest-object": "largest object seen",
    "median-study": "objects of a study, in the middle",
    "largest-study": "objects of the largest study",
    "refused": "what could not be read or trusted",
    "repeated-objects": "further objects under a SOP Instance UID that is taken",
    "oddities": "objects that break a rule and can be read",
    "absent-values": "studies in which a header leaves a value empty",
    "several-headers": "studies whose objects say different things of patient or study",
    "layout": "how it lies there",
    "files-looked-at": "files whose names were looked at",
    "files-sampled": "objects that were read for this",
    "folder-depth": "folders around a file",
    "files-in-a-folder": "files in one folder",
    "file-names": "how file names end",
    "media-directories": "DICOMDIR files",
    "private-creators": "whose private elements objects hold",
    "software": "what the archive calls its software",
    "echo": "answer to a C-ECHO",
    "query-and-retrieve": "queries and retrievals that it accepts",
    "relational-queries": "queries below a level without the keys above it",
    "studies-without-patient": "queries for studies without one Patient ID",
    "storage-commitment": "storage commitment",
    "storage-classes": "kinds of object that may be stored",
    "storage-syntaxes": "encodings in which a CT image may be stored",
    "study-query": "answer to a query for studies",
    "series-query": "answer to a query for the series of a study",
    "image-query": "answer to a query for the objects of a series",
    "answers-to-one-query": "answers to one query",
    "answers-to-one-search": "answers to one search",
    "limit": "how many answers are asked for at a time",
    "paging": "answers behind the first page",
    "includefield": "attributes that are asked for",
    "metadata": "metadata of series, besides searches",
    "objects-served": "how objects are served",
    "wild-cards": "wild cards in queries",
    "case-of-names": "upper and lower case in queries for names",
    "counts": "objects of a study that the archive tells",
    "served-as": "encoding in which an object was served",
    "transfer-rate": "rate of a retrieval",
    "two-retrievals": "the same object, retrieved twice",
    "canary": "what it makes of synthetic objects",
    "canaries-there": "synthetic objects that stay there",
    "answer-cap": "most studies in one answer",
    "associations-refused": "associations of which it refuses some",
    "side-by-side": "associations side by side, before it slows",
    "read-time": "time to read an object through",
}


@frozen(kw_only=True)
class Profile:
    """How an archive was seen to behave. ``time`` is when it was recorded (UTC, ISO 8601), ``""`` if it was not."""

    archive: str
    time: str
    observations: tuple[Observation, ...]

    def number(self, name: str) -> int | None:
        """What was seen, as a whole number; None where nothing was, or no such number."""
        found = next((item.value for item in self.observations if item.name == name), "")
        return int(found) if found.isascii() and found.isdecimal() else None

    def values(self) -> dict[str, str]:
        """Name to what was seen, with its unit; several observations of one name are joined by semicolons."""
        seen: dict[str, list[str]] = {}
        for item in self.observations:
            seen.setdefault(item.name, []).append(f"{item.value} {item.unit}".rstrip())
        return {name: "; ".join(values) for name, values in seen.items()}


@frozen(kw_only=True)
class Difference:
    """One thing about which profiles differ: for each archive what was seen, ``""`` where nothing was."""

    name: str
    seen: tuple[str, ...]


def record_profile(journal: Journal, archive: str, probes: ProbesBehaviour | None) -> Profile:
    """Observe an archive and put that on record, unless it is what was recorded last.

    Raises:
        ArchiveError: the archive does not answer.
    """
    catalog = journal.catalog
    number = catalog.latest_inventory(archive)
    observations = [] if number is None else list(measured(catalog.measure(number)))
    observations += [] if probes is None else list(probes.probe())
    if not any(item.name == _LARGEST for item in observations) and (before := read_profile(journal, archive)):
        observations += [item for item in before.observations if item.name == _LARGEST]
    _record(journal, archive, observations)
    profile = read_profile(journal, archive)
    assert profile is not None  # noqa: S101 - it was recorded just now
    return profile


def record_largest(journal: Journal, seen: Mapping[str, int]) -> None:
    """Put on record how large the largest objects were that archives handed out, in bytes, where that is new.

    Not every archive tells sizes when it is asked what it has: of these it is learned only when objects come.
    """
    for archive, size in seen.items():
        profile = read_profile(journal, archive)
        if profile is None or size <= (profile.number(_LARGEST) or 0):
            continue
        others = [item for item in profile.observations if item.name != _LARGEST]
        _record(journal, archive, [*others, Observation(name=_LARGEST, value=str(size), unit="bytes")])


def _record(journal: Journal, archive: str, observations: Sequence[Observation]) -> None:
    address = journal.keep_facts([asdict(item) for item in observations])
    before = journal.catalog.decisions.profile(archive)
    if before is None or before.profile_ref != address:
        event = ProfileRecorded(archive=archive, observations=len(observations), profile_ref=address)
        turn = -1 if before is None else before.sequence
        journal.record([(f"profile/{archive}/{turn}/{address}", event)])


def read_profile(journal: Journal, archive: str) -> Profile | None:
    """The profile that was recorded last; None before any."""
    line = journal.catalog.decisions.profile(archive)
    if line is None:
        return None
    observations = tuple(Observation(**item) for item in journal.facts(line.profile_ref))
    return Profile(archive=archive, time=line.time, observations=observations)


def differences(profiles: Sequence[Profile]) -> list[Difference]:
    """What at least two profiles tell, and not alike, in the order of the first that tells of it."""
    values = [profile.values() for profile in profiles]
    names = dict.fromkeys(name for seen in values for name in seen if name not in _EXTENT)
    rows = [Difference(name=name, seen=tuple(seen.get(name, "") for seen in values)) for name in names]
    return [row for row in rows if len({*row.seen} - {""}) > 1]


def measured(measures: Measures) -> Iterator[Observation]:
    """What an inventory shows of its archive."""
    totals = measures.totals
    yield Observation(name="studies", value=str(totals.studies))
    yield Observation(name="objects", value=str(totals.instances))
    if totals.size or not totals.instances:  # else the archive lists no sizes
        yield Observation(name="bytes", value=str(totals.size), unit="bytes")
    yield Observation(name="modalities", value=_shares(measures.modalities))
    yield Observation(name="sop-classes", value=_shares(measures.sop_classes))
    yield Observation(name="transfer-syntaxes", value=_shares(measures.transfer_syntaxes))
    yield Observation(name="character-sets", value=_shares(measures.character_sets))
    if measures.largest_object is not None:
        yield Observation(name=_LARGEST, value=str(measures.largest_object), unit="bytes")
    yield Observation(name="median-study", value=str(measures.median_study))
    yield Observation(name="largest-study", value=str(measures.largest_study))
    looked_at = totals.instances + totals.refused
    yield Observation(name="refused", value=_counts(measures.refused, looked_at))
    yield Observation(name="repeated-objects", value=str(measures.repeated))
    yield Observation(name="oddities", value=_counts(measures.flags, totals.instances))
    yield Observation(name="absent-values", value=_counts(measures.absent, totals.studies))
    yield Observation(name="several-headers", value=str(measures.several_headers))


def _shares(counted: Counter[str]) -> str:
    return _told([(name or _NOT_STATED, share) for name, share in _ordered(counted, counted.total())])


def _counts(counted: Counter[str], whole: int) -> str:
    """Counts with their shares of ``whole``."""
    return _told([(f"{counted[name]} {name}", share) for name, share in _ordered(counted, whole)]) or "none"


def _ordered(counted: Counter[str], whole: int) -> list[tuple[str, str]]:
    ordered = sorted(((name, count) for name, count in counted.items() if count), key=lambda item: (-item[1], item[0]))
    return [(name, _percent(count, whole)) for name, count in ordered]


def _told(items: Sequence[tuple[str, str]]) -> str:
    told = [f"{name} ({share})" for name, share in items[:_TOLD]]
    return ", ".join([*told, f"{len(items) - _TOLD} more"] if len(items) > _TOLD else told)


def _percent(count: int, whole: int) -> str:
    if count == whole:
        return "all"
    share = 100 * count / whole
    return "under 1 %" if share < 1 else "over 99 %" if share > 99 else f"{share:.0f} %"
