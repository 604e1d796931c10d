"""How an archive limits its answers, seen from a few searches: pages, and what narrower questions show besides."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from attrs import field, frozen

from vna_lifecycle.adapters.dicomweb import answers as at
from vna_lifecycle.adapters.dicomweb.answers import Answer
from vna_lifecycle.adapters.dicomweb.searching import Search
from vna_lifecycle.adapters.dicomweb.trouble import TooBroad
from vna_lifecycle.adapters.habits import remember_cap
from vna_lifecycle.adapters.windows import day_of

Turned: TypeAlias = Literal["honoured", "ignored", "refused", "ended", "not asked"]
_EVERY_DAY: Final = "19000101-"


@frozen(kw_only=True)
class Look:
    """What one wide search for studies showed.

    ``found`` are the studies of its first page, of which ``asked`` were asked for; none of ``too_broad`` a search.
    ``offset`` is what became of the page behind it: "ended" where it was empty although there is more. ``cap`` is how
    many it had if it was cut short, None where nothing shows that it was.
    """

    asked: int
    found: list[Answer] = field(factory=list)
    offset: Turned = "not asked"
    cap: int | None = None
    too_broad: bool = False


def look(search: Search) -> Look:
    """Ask for as many studies as a page has, for the page behind, and if there is none, for what the page did not show.

    A cap that is seen is remembered, and heeded by this search from now on.

    Raises:
        ArchiveError: the archive does not answer.
    """
    asked = search.settings.page_size
    try:
        seen = _seen(search, asked)
    except TooBroad:
        return Look(asked=asked, too_broad=True)
    if seen.cap is not None:
        remember_cap(search.connection.site, seen.cap)
        search.heed(seen.cap)
    return seen


def _seen(search: Search, asked: int) -> Look:
    page = search.page(["studies"], {}, (), limit=asked)
    found = page.answers if page else []
    if not found:
        return Look(asked=asked)
    behind = search.page(["studies"], {}, (), limit=asked, offset=len(found))
    before, after = _uids(found), _uids(behind.answers if behind else [])
    cap = len(found)
    if after and not after <= before:
        return Look(asked=asked, found=found, offset="honoured", cap=cap if cap != asked else None)
    hidden = not _by_days(search, found, asked) <= before
    offset: Turned = "refused" if behind is None else "ignored" if after else "ended" if hidden else "honoured"
    return Look(asked=asked, found=found, offset=offset, cap=cap if hidden else None)


def _by_days(search: Search, found: list[Answer], asked: int) -> set[str]:
    """What is shown in two halves: up to the day in the middle of those that were found, and from it on."""
    dates = sorted(date for one in found if day_of(date := one.text(at.STUDY_DATE)))
    if not dates:
        return set()
    middle = dates[len(dates) // 2]
    halves = (f"{_EVERY_DAY}{middle}", f"{middle}-")
    pages = [search.page(["studies"], {"StudyDate": days}, (), limit=asked) for days in halves]
    return {uid for page in pages if page for uid in _uids(page.answers)}


def _uids(answers: list[Answer]) -> set[str]:
    return {one.text(at.STUDY_UID) for one in answers} - {""}
