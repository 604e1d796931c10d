"""Waves: named sets of studies that are moved and accepted together, and the policies that select them."""

from __future__ import annotations

import datetime as dt
import enum

from attrs import field, frozen

from vna_lifecycle.model.inventory import Availability


class Order(enum.Enum):
    """In which order a policy takes studies; a patient kept together is placed by its first study in that order."""

    NEWEST_FIRST = "newest-first"
    OLDEST_FIRST = "oldest-first"
    SMALLEST_FIRST = "smallest-first"
    LARGEST_FIRST = "largest-first"


class Patients(enum.Enum):
    """Whether a wave takes whole patients or single studies.

    TOGETHER: once one study of a patient matches, every study of that patient that no earlier wave took comes along,
    so that priors move with what they are priors of. SPLIT: only the matching studies.
    """

    TOGETHER = "together"
    SPLIT = "split"


@frozen(kw_only=True)
class DateRange:
    """Days from ``first`` to ``last``, both included; None leaves that end open."""

    first: dt.date | None = None
    last: dt.date | None = None


@frozen(kw_only=True)
class StudyFilter:
    """Which studies are meant. Every stated condition must hold; within one condition any value suffices.

    ``modalities`` and ``body_parts`` match when the study has a series of any of them. ``descriptions`` are
    case-insensitive patterns with ``*`` and ``?``. ``undated`` True means only studies without a usable Study Date,
    False only dated ones. A ``studied`` range never matches an undated study. Sizes are bytes.
    """

    sources: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    issuers: tuple[str, ...] = ()
    patient_ids: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    availability: tuple[Availability, ...] = ()
    studied: DateRange | None = None
    undated: bool | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    min_bytes: int | None = None
    max_bytes: int | None = None


@frozen(kw_only=True)
class WavePolicy:
    """How one wave is filled: a filter, an order, and caps that never split a patient who is kept together.

    ``max_studies`` and ``max_total_bytes`` cap the whole wave; filling stops before the first unit that would exceed
    one.
    """

    name: str
    select: StudyFilter = field(factory=StudyFilter)
    order: Order = Order.NEWEST_FIRST
    patients: Patients = Patients.TOGETHER
    max_studies: int | None = None
    max_total_bytes: int | None = None


@frozen(kw_only=True)
class Exclusion:
    """Studies that shall not move, and why. Exclusions are applied before any wave is filled."""

    reason: str
    select: StudyFilter = field(factory=StudyFilter)


@frozen(kw_only=True)
class Wave:
    """A planned wave. ``members`` is the vault address of its list of studies; sizes are bytes.

    ``came_along`` counts the studies that are there only because another study of the same patient matched, and
    ``nearline`` those of which a source says that something lies nearline, so that it has to be staged.
    """

    name: str
    studies: int
    instances: int
    size: int
    members: str = ""
    came_along: int = 0
    nearline: int = 0


@frozen(kw_only=True)
class WavePlan:
    """The outcome of planning: every study is in a wave, excluded with a reason, or unplanned.

    ``excluded`` pairs each reason with its number of studies. ``notes`` tell what an operator should know (a cap that
    even the first patient exceeds, a wave that stayed empty).
    """

    waves: tuple[Wave, ...]
    excluded: tuple[tuple[str, int], ...] = ()
    unplanned: int = 0
    notes: tuple[str, ...] = ()
