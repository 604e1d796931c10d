"""What the page keeps of long lists while they pass: the first few, and the true numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from attrs import define, field

from vna_lifecycle.reporting.facts import Amount, FindingKind, FindingRow, Found, Pictures, StudyPath

STUDIES_SHOWN: Final = 100
EXAMPLES_SHOWN: Final = 5
OBJECTS_SHOWN: Final = 8
YEARS_SHOWN: Final = 40
MODALITIES_SHOWN: Final = 9
_UID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*)){2,}")
"""A UID (PS3.5 9.1). Patient IDs, names and paths are kept off a page that may hang on a wall; the table has them."""
_SEVERITIES: Final = ("blocker", "warning", "note")
_SIZES: Final = (("<1 MB", 10**6), ("<10 MB", 10**7), ("<100 MB", 10**8), ("<1 GB", 10**9), ("≥1 GB", None))


@define
class StudyTally:
    """The studies that the page shows: those that need somebody first, then the others, in their order."""

    total: int = 0
    _urgent: list[StudyPath] = field(factory=list)
    _others: list[StudyPath] = field(factory=list)

    def passing(self, studies: Iterable[tuple[bool, StudyPath]]) -> Iterator[StudyPath]:
        """Hand on each study, and keep it if the page has room; the flag says whether it needs somebody."""
        for urgent, study in studies:
            self.total += 1
            kept = self._urgent if urgent else self._others
            if len(kept) < STUDIES_SHOWN:
                kept.append(study)
            yield study

    def shown(self) -> tuple[StudyPath, ...]:
        """What was kept."""
        return tuple([*self._urgent, *self._others][:STUDIES_SHOWN])


@define
class _Kind:
    first: FindingRow
    findings: int = 0
    waived: int = 0
    several: bool = False
    waves: dict[str, None] = field(factory=dict)
    examples: list[FindingRow] = field(factory=list)


@define
class FindingTally:
    """Open findings by kind."""

    _kinds: dict[tuple[str, str], _Kind] = field(factory=dict)

    def passing(self, findings: Iterable[FindingRow]) -> Iterator[FindingRow]:
        """Hand on each finding, and count those that are not settled."""
        for row in findings:
            if row.standing != "settled":
                self._count(row)
            yield row

    def _count(self, row: FindingRow) -> None:
        kind = self._kinds.setdefault((row.severity, row.kind), _Kind(first=row))
        kind.findings += 1
        kind.waived += row.standing == "waived"
        kind.several = kind.several or row.message != kind.first.message
        if row.wave:
            kind.waves[row.wave] = None
        if len(kind.examples) < EXAMPLES_SHOWN:
            kind.examples.append(row)

    def shown(self) -> tuple[FindingKind, ...]:
        """The kinds, the worst and most frequent first."""
        ordered = sorted(
            self._kinds.items(), key=lambda item: (_rank(item[0][0]), -item[1].findings + item[1].waived, item[0][1])
        )
        return tuple(
            FindingKind(
                kind=name,
                severity=severity,
                check=kind.first.check,
                findings=kind.findings,
                waived=kind.waived,
                message="" if kind.several else kind.first.message,
                remedy=kind.first.remedy,
                waves=tuple(kind.waves),
                examples=tuple(_found(row) for row in kind.examples),
            )
            for (severity, name), kind in ordered
        )


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)


def _found(row: FindingRow) -> Found:
    return Found(
        study_uid=row.study_uid,
        study=row.study,
        wave=row.wave,
        message=row.message,
        objects=tuple(filter(_UID.fullmatch, row.objects))[:OBJECTS_SHOWN],
        objects_total=len(row.objects),
        waived=row.standing == "waived",
    )


@define
class _Sum:
    studies: int = 0
    instances: int = 0
    size: int = 0

    def add(self, instances: int, size: int) -> None:
        self.studies += 1
        self.instances += instances
        self.size += size

    def amount(self, label: str) -> Amount:
        return Amount(label=label, studies=self.studies, instances=self.instances, size=self.size)


@define
class PictureTally:
    """Studies by year, modality and size."""

    undated: int = 0
    _years: dict[int, _Sum] = field(factory=dict)
    _modalities: dict[str, _Sum] = field(factory=dict)
    _sizes: list[_Sum] = field(factory=lambda: [_Sum() for _ in _SIZES])

    def add(self, *, year: int | None, modalities: Iterable[str], instances: int, size: int) -> None:
        """Count one study; ``year`` None: it has no usable date."""
        if year is None:
            self.undated += 1
        else:
            self._years.setdefault(year, _Sum()).add(instances, size)
        for modality in modalities:
            self._modalities.setdefault(modality or "none", _Sum()).add(instances, size)
        if size or not instances:  # else its source lists no sizes
            place = next(place for place, (_, below) in enumerate(_SIZES) if below is None or size < below)
            self._sizes[place].add(instances, size)

    def shown(self) -> Pictures:
        """The pictures: the latest 40 years, gaps included, and the nine most frequent modalities, the rest summed."""
        return Pictures(
            years=self._shown_years(),
            modalities=self._shown_modalities(),
            sizes=tuple(found.amount(label) for (label, _), found in zip(_SIZES, self._sizes, strict=True))
            if any(found.studies for found in self._sizes)
            else (),
            undated=self.undated,
        )

    def _shown_years(self) -> tuple[Amount, ...]:
        if not self._years:
            return ()
        last = max(self._years)
        first = max(min(self._years), last - YEARS_SHOWN + 1)
        shown = [self._years.get(year, _Sum()).amount(str(year)) for year in range(first, last + 1)]
        older = [found for year, found in self._years.items() if year < first]
        return (_total("older", older), *shown) if older else tuple(shown)

    def _shown_modalities(self) -> tuple[Amount, ...]:
        ordered = sorted(self._modalities.items(), key=lambda item: (-item[1].studies, item[0]))
        shown = [found.amount(label) for label, found in ordered[:MODALITIES_SHOWN]]
        rest = [found for _, found in ordered[MODALITIES_SHOWN:]]
        return (*shown, _total("others", rest)) if rest else tuple(shown)


def _total(label: str, sums: Iterable[_Sum]) -> Amount:
    total = _Sum()
    for found in sums:
        total.studies += found.studies
        total.instances += found.instances
        total.size += found.size
    return total.amount(label)
