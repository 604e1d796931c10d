"""What is known of a source beyond its objects: its own database, what DICOM cannot return, and what follows from both.

What follows are findings about the program (wave ``""``): on record once, and settled when they are no longer true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

from attrs import frozen

from vna_lifecycle.catalog.truth import TruthTotals
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.event import Event, FindingSettled, TruthRecorded
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.ports import KnowsTruth, TruthFlaw, TruthRecord

_Item = TypeVar("_Item")

CHECK: Final = "source"
"""What findings about a source name as their check: no acceptance check makes them."""

_REFUSED: Final = "truth-refused"

MOST_TOLD: Final = 10_000
"""How many studies, or lines of an extract, one finding names. It counts them all."""


@frozen(kw_only=True)
class KnownSource:
    """A source as program.toml tells of it.

    ``truth`` asks its database, None where that cannot be asked. ``move`` names what of it is planned although the
    database does not show it (``deleted``, ``hidden``). ``beyond_dicom`` pairs what DICOM cannot return with what
    becomes of it, ``""`` where that is not decided.
    """

    name: str
    truth: KnowsTruth | None
    move: tuple[str, ...] = ()
    beyond_dicom: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class TruthResult:
    """What reading a source's database came to. Counts are studies, but ``flaws``: records with something unusable.

    ``missing`` studies are in the database and not in the latest inventory, ``unknown`` ones the other way round; both
    are None before an inventory is complete.
    """

    archive: str
    studies: int
    deleted: int
    hidden: int
    flaws: int
    repeated: int
    missing: int | None
    unknown: int | None

    def __str__(self) -> str:
        said = f"{self.archive}: its database knows {counted(self.studies, 'study')}"
        figures = (
            (self.deleted, "deleted there"),
            (self.hidden, "hidden there"),
            (self.missing, "not in the inventory"),
            (self.unknown, "in the inventory and not in the database"),
            (self.repeated, "told more than once"),
        )
        parts = [said, *(f"{count:,} {what}" for count, what in figures if count)]
        if self.flaws:
            parts.append(f"{counted(self.flaws, 'record')} with something that cannot be used")
        return ", ".join(parts)


def look_at_sources(journal: Journal, sources: Sequence[KnownSource], again: Collection[str]) -> list[TruthResult]:
    """Read the databases of the sources named by ``again`` anew, and put on record what is known of all ``sources``.

    A database that cannot be used is a finding, what it said before stays, and the others are read all the same.

    Raises:
        ConfigurationError: an extract cannot be used; the first one that cannot, once everything is on record.
    """
    results: list[TruthResult] = []
    unusable: dict[str, ConfigurationError] = {}
    for source in sources:
        if source.name not in again:
            continue
        if source.truth is None:
            journal.catalog.truth.forget(source.name)
            continue
        try:
            results.append(_read(journal, source, source.truth))
        except ConfigurationError as exc:
            unusable[source.name] = exc
    findings: list[Finding] = []
    for source in sources:
        findings += _undecided(source)
        refused = list(_still_refused(journal, source.name)) if source.name not in again else []
        if source.name in unusable:
            refused.append(_refused(source.name, unusable[source.name]))
        findings += refused
        if not refused and not journal.catalog.truth.known(source.name):
            findings.append(_headers_only(source.name))
        findings += _compared(journal, source.name)
    stand(journal, findings)
    for error in unusable.values():
        raise error
    return results


def _still_refused(journal: Journal, archive: str) -> Iterator[Finding]:
    for line in journal.catalog.findings(""):
        if line.check == CHECK and line.kind == _REFUSED:
            finding = journal.read_finding(line.evidence_ref)
            if ("archive", archive) in finding.details:
                yield finding


def stand(journal: Journal, findings: Sequence[Finding]) -> None:
    """Make these the open findings about sources: new ones go on record, those that are true no more are settled."""
    start = journal.ledger.size()  # what was settled before and is true again goes on record again
    true = {
        event.evidence_ref: (key, event) for key, event in journal.findings(findings, wave="", under=f"source/{start}")
    }
    known = {line.evidence_ref: line for line in journal.catalog.findings("") if line.check == CHECK}
    events: list[tuple[str, Event]] = [
        (
            f"settled/source/{start}/{line.sequence}",
            FindingSettled(
                finding=line.kind,
                study="",
                wave="",
                evidence_ref=line.evidence_ref,
                reason="no longer so at the source",
            ),
        )
        for line in known.values()
        if line.evidence_ref not in true
    ]
    events += [new for address, new in true.items() if address not in known]
    journal.record(events)


def _read(journal: Journal, source: KnownSource, knows: KnowsTruth) -> TruthResult:
    catalog = journal.catalog
    totals = catalog.truth.replace(source.name, _some(source.name, knows.truth()), move=source.move)
    number = catalog.latest_inventory(source.name)
    _record(journal, source.name, totals)
    return TruthResult(
        archive=source.name,
        studies=totals.studies,
        deleted=totals.deleted,
        hidden=totals.hidden,
        flaws=totals.flaws,
        repeated=totals.repeated,
        missing=None if number is None else sum(1 for _ in catalog.truth.missing(source.name, number)),
        unknown=None if number is None else sum(1 for _ in catalog.truth.unknown(source.name, number)),
    )


def _some(archive: str, items: Iterator[TruthRecord | TruthFlaw]) -> Iterator[TruthRecord | TruthFlaw]:
    """A database that knows no study is no database of this archive: what it said before must not be lost to it."""
    found = False
    for item in items:
        found = found or isinstance(item, TruthRecord)
        yield item
    if not found:
        what = "knows no study"
        raise ConfigurationError(
            f"the database of {archive} {what}",
            problems=((f"sources.{archive}.truth", what),),
            hint="Is it the right extract, with its lines?",
        )


def _record(journal: Journal, archive: str, totals: TruthTotals) -> None:
    commitment = journal.commitment(totals.content_sha256)
    before = journal.catalog.decisions.truth(archive)
    if before is not None and before.extract_sha256 == commitment:
        return
    event = TruthRecorded(
        archive=archive,
        studies=totals.studies,
        deleted=totals.deleted,
        hidden=totals.hidden,
        unusable=totals.flaws,
        extract_sha256=commitment,
    )
    turn = -1 if before is None else before.sequence
    journal.record([(f"truth/{archive}/{turn}/{commitment}", event)])


def _undecided(source: KnownSource) -> Iterator[Finding]:
    for what, disposition in source.beyond_dicom:
        if disposition:
            yield _finding(
                source.name,
                "beyond-dicom",
                Severity.NOTE,
                f"{source.name} holds {what}, which DICOM cannot return; decided: {disposition}",
            )
        else:
            yield _finding(
                source.name,
                "not-in-dicom",
                Severity.BLOCKER,
                f"{source.name} holds {what}, which DICOM cannot return, and it is not decided what becomes of it",
                remedy=f"Write its disposition into [sources.{source.name}] beyond_dicom, or waive this",
            )


def _headers_only(archive: str) -> Finding:
    return _finding(
        archive,
        "headers-only",
        Severity.BLOCKER,
        f"what {archive} holds is known from headers only: nobody compared them with its own database",
        remedy=f"Give an extract of its database, [sources.{archive}] truth, or waive this",
    )


def _refused(archive: str, error: ConfigurationError) -> Finding:
    return _finding(
        archive,
        _REFUSED,
        Severity.BLOCKER,
        f"what the database of {archive} says cannot be used",
        details=[("reason", what) for _, what in error.problems] or [("reason", str(error))],
        remedy="Extract it again; what an earlier extract said still holds",
    )


def _compared(journal: Journal, archive: str) -> Iterator[Finding]:
    """What the database says that cannot be used, or that no study of the archive bears out."""
    truth = journal.catalog.truth
    number = journal.catalog.latest_inventory(archive)
    if number is not None:
        missing, count = _first(truth.missing(archive, number))
        if count:
            yield _finding(
                archive,
                "not-in-inventory",
                Severity.BLOCKER,
                f"{counted(count, 'study')} that the database of {archive} shows {_are(count)} not in its inventory",
                subjects=[uid for uid, _ in missing],
                details=[(uid, place) for uid, place in missing],
                remedy="Look for their objects at the source; if they are lost there, waive this and say so",
            )
    repeated, count = _first(truth.repeated(archive))
    if count:
        disagree = any(contradicted for _, _, contradicted in repeated)
        yield _finding(
            archive,
            "truth-repeated",
            Severity.WARNING if disagree else Severity.NOTE,
            f"{counted(count, 'study')} {_are(count)} told more than once by the database of {archive}"
            + (", and not always the same; the first record counts" if disagree else ""),
            subjects=[uid for uid, _, _ in repeated],
            details=[(uid, ", ".join(places)) for uid, places, _ in repeated],
            remedy="Extract one line for each study" if disagree else "",
        )
    of_code: Counter[str] = Counter()
    by_code: dict[str, list[TruthFlaw]] = {}
    for flaw in truth.flaws(archive):
        of_code[flaw.code] += 1
        if of_code[flaw.code] <= MOST_TOLD:
            by_code.setdefault(flaw.code, []).append(flaw)
    for code, flaws in sorted(by_code.items()):
        yield _finding(
            archive,
            f"truth-{code}",
            Severity.WARNING,
            f"the database of {archive} says what cannot be used, {counted(of_code[code], 'time')}: {flaws[0].message}",
            subjects=sorted({flaw.study_uid for flaw in flaws if flaw.study_uid}),
            details=[(flaw.place, flaw.message) for flaw in flaws],
            remedy="Mend these lines of the extract, or waive this",
        )


def _finding(
    archive: str,
    kind: str,
    severity: Severity,
    message: str,
    *,
    subjects: Iterable[str] = (),
    details: Iterable[tuple[str, str]] = (),
    remedy: str = "",
) -> Finding:
    return Finding(
        kind=kind,
        severity=severity,
        message=message,
        check=CHECK,
        subjects=subjects,
        details=[("archive", archive), *details],
        remedy=remedy,
    )


def _first(items: Iterator[_Item]) -> tuple[list[_Item], int]:
    """The first ones, and how many there are."""
    first = list(islice(items, MOST_TOLD))
    return first, len(first) + sum(1 for _ in items)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
