"""Whether two entries name one person: by name, birth date and sex, as far as values can tell.

Names are compared within their groups (alphabetic, ideographic, phonetic; PS3.5 6.2.1.2), never across them: that a
name in one script transliterates one in another is not guessed. Case, width, spaces, carets, commas, apostrophes and
full stops make no difference, nor do prefixes, suffixes and a middle name that only one of them has.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

_SEPARATORS: Final = re.compile(r"[\s,^\-]+")
_DROPPED: Final = re.compile(r"[.'\u2019`]")
_SEXES: Final = ("F", "M")


class Person(NamedTuple):
    """Who somebody is said to be: Patient's Name, Birth Date and Sex (PN, DA, CS), as found; ``""``: not stated."""

    name: str
    birth_date: str
    sex: str


class Likeness(enum.Enum):
    """SAME and OTHER person, a VARIANT that may be either (a new family name, a corrected date), or UNKNOWN."""

    SAME = "same"
    VARIANT = "variant"
    OTHER = "other"
    UNKNOWN = "unknown"


def likeness(a: Person, b: Person) -> Likeness:
    """How two entries under one patient identity go together."""
    name = name_likeness(a.name, b.name)
    births = bool(a.birth_date and b.birth_date) and a.birth_date != b.birth_date
    sexes = {a.sex, b.sex} == set(_SEXES)
    if name is Likeness.OTHER or (name is Likeness.VARIANT and (births or sexes)) or (births and sexes):
        return Likeness.OTHER
    if name is Likeness.VARIANT or births or sexes:
        return Likeness.VARIANT
    return name


def name_likeness(a: str, b: str) -> Likeness:
    """How two values of Patient's Name go together; VARIANT where they share a part, UNKNOWN where no group is shared.

    The same in any group is the same person's name.
    """
    pairs = [(one, other) for one, other in zip(_groups(a), _groups(b), strict=False) if one and other]
    if not pairs:
        return Likeness.UNKNOWN
    found = {_tokens_likeness(one, other) for one, other in pairs}
    return next(each for each in (Likeness.SAME, Likeness.VARIANT, Likeness.OTHER) if each in found)


def same_people(entries: Sequence[Sequence[Person]]) -> Iterator[tuple[int, ...]]:
    """Which of several identities name the same person, as groups of positions in ``entries``; linear.

    All persons given must have the same birth date: without one, a name alone identifies nobody.
    """
    keyed: dict[tuple[int, tuple[str, ...]], list[tuple[int, str]]] = {}
    for number, named in enumerate(entries):
        for person in named:
            for place, tokens in enumerate(_groups(person.name)):
                if tokens:
                    keyed.setdefault((place, tokens[:2]), []).append((number, person.sex))
    told: set[tuple[int, ...]] = set()
    for alike in keyed.values():
        for sex in _SEXES:
            # one whose sex is not stated may be either
            group = tuple(sorted({number for number, stated in alike if stated == sex or stated not in _SEXES}))
            if len(group) > 1 and group not in told:
                told.add(group)
                yield group


@lru_cache(maxsize=4096)
def _groups(name: str) -> tuple[tuple[str, ...], ...]:
    """The parts of each component group: family, given and middle name complexes, without prefix and suffix."""
    found = []
    for group in name.split("=")[:3]:
        plain = unicodedata.normalize("NFKC", group).casefold()
        components = _DROPPED.sub("", plain).split("^")[:3]
        found.append(tuple(part for part in _SEPARATORS.split("^".join(components)) if part))
    return tuple(found)


def _tokens_likeness(one: tuple[str, ...], other: tuple[str, ...]) -> Likeness:
    if one == other:
        return Likeness.SAME
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) > 1 and all(_abbreviates(a, b) for a, b in zip(shorter, longer, strict=False)):
        return Likeness.SAME
    return Likeness.VARIANT if set(one) & set(other) else Likeness.OTHER


def _abbreviates(a: str, b: str) -> bool:
    short, long = sorted((a, b), key=len)
    return short == long or (len(short) == 1 and long.startswith(short))
