"""However an archive limits its answers, an inventory finds each study once, or tells what it cannot know."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from attrs import frozen

from peers.capped_web import CappedWeb, Study
from peers.scripted_web import Reply, answers
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import Basis, InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Archive, StudyQuery
from vna_lifecycle.testing.conformance import site

CAP = 10
_FIRST = dt.date(2024, 1, 1)


def dated(number: int) -> str:
    return f"{_FIRST + dt.timedelta(number // 2):%Y%m%d}"


DATED = [Study(uid=f"1.2.{n}", date=dated(n), time="080000", patient=f"D{n}") for n in range(24)]
DAY = [Study(uid=f"1.3.{n}", date="20230301", time=f"{n:02}0130", patient=f"C{n:02}") for n in range(12)]
MINUTE = [Study(uid=f"1.4.{n}", date="20220301", time="120000", patient=f"M{n:02}") for n in range(12)]
TIMELESS = [Study(uid=f"1.5.{n}", date="20210301", patient=f"T{n:02}") for n in range(12)]
UNDATED = [Study(uid=f"1.6.{n}", patient=f"U{n:02}") for n in range(12)]
ODD = [Study(uid=f"1.7.{n}", date="20230231", patient=f"O{n:02}") for n in range(3)]
STUDIES = [*DATED, *DAY, *MINUTE, *TIMELESS, *UNDATED, *ODD]
"""On days of their own, crowded into one day, one minute, or a day without times, and without a usable date."""


@frozen
class Found:
    """What an inventory found: studies in order, and what was refused."""

    studies: list[StudyRecord]
    refused: list[Refused]

    @property
    def uids(self) -> list[str]:
        return [study.study_uid for study in self.studies]


@contextmanager
def opened(server: CappedWeb, folder: Path, **more: int | str) -> Iterator[Archive]:
    settings = DicomwebSettings(
        url=server.url, **{"studies_per_part": 10, "trusted_answers": 10, "page_size": 20, **more}
    )  # type: ignore[arg-type]
    archive = open_dicomweb(settings, site(folder))
    try:
        yield archive
    finally:
        archive.reads.close()
        server.close()


def inventoried(server: CappedWeb, folder: Path, **more: int) -> Found:
    with opened(server, folder, **more) as archive:
        parts = list(archive.reads.parts())
        assert len({part.key for part in parts}) == len(parts)
        found = [item for part in parts for item in archive.reads.inventory(part)]
    return Found(
        [item for item in found if isinstance(item, StudyRecord)], [item for item in found if isinstance(item, Refused)]
    )


CONTINUED: dict[str, Callable[[], CappedWeb]] = {
    "whole": lambda: CappedWeb(STUDIES, pages=True),
    "capped": lambda: CappedWeb(STUDIES, CAP, pages=True),
    "capped-below-what-is-trusted": lambda: CappedWeb(STUDIES, CAP - 4, pages=True),
    "with-a-limit-of-its-own": lambda: CappedWeb(STUDIES, 22, limits=False, pages=True),
    "all-at-once": lambda: CappedWeb(STUDIES, limits=False),
}
CUT_SHORT: dict[str, Callable[[], CappedWeb]] = {
    "not-paged": lambda: CappedWeb(STUDIES),
    "capped": lambda: CappedWeb(STUDIES, CAP),
    "capped-below-what-is-trusted": lambda: CappedWeb(STUDIES, CAP - 4),
    "capped-and-told": lambda: CappedWeb(STUDIES, CAP - 4, tells=True),
    "with-a-limit-of-its-own": lambda: CappedWeb(STUDIES, 22, limits=False),
    "continued-but-not-to-the-end": lambda: CappedWeb(STUDIES, pages=True, most=30),
    "continued-but-not-behind-few": lambda: CappedWeb(STUDIES, pages=True, most=6),
}


def is_whole(found: Found) -> bool:
    return sorted(found.uids) == sorted(study.uid for study in STUDIES)


@pytest.mark.parametrize("way", list(CONTINUED))
def test_answers_that_are_continued_or_come_all_at_once_give_each_study_once(tmp_path: Path, way: str) -> None:
    found = inventoried(CONTINUED[way](), tmp_path)
    assert is_whole(found)
    assert found.refused == []


@pytest.mark.parametrize("way", list(CUT_SHORT))
def test_answers_that_are_cut_short_are_divided_until_each_study_is_found_once(tmp_path: Path, way: str) -> None:
    """By days, minutes and Patient IDs. That no query can ask for IDs of other characters, or for none, is told."""
    found = inventoried(CUT_SHORT[way](), tmp_path)
    assert is_whole(found)
    assert {one.code for one in found.refused} == {"answers-may-be-cut-short"}
    assert "undated rest of patients" in found.refused[0].locator


def test_searches_that_are_refused_as_too_broad_are_divided_likewise(tmp_path: Path) -> None:
    """Even that for a single study at opening, since such an archive heeds no limit."""
    found = inventoried(CappedWeb(STUDIES, limits=False, refuses=20), tmp_path)
    assert is_whole(found)
    assert "query-refused" in {one.code for one in found.refused}


@pytest.mark.parametrize("wild_cards", ["overlooked", "taken literally"])
def test_an_archive_that_knows_no_beginnings_of_patient_ids_is_not_asked_for_them_without_end(
    tmp_path: Path, wild_cards: Literal["overlooked", "taken literally"]
) -> None:
    """What has dates of its own is found; that more may be hidden is told."""
    server = CappedWeb(STUDIES, CAP, wild_cards=wild_cards)
    found = inventoried(server, tmp_path)
    assert {study.uid for study in [*DATED, *DAY]} <= set(found.uids)
    assert len(found.uids) == len(set(found.uids))
    assert [one.code for one in found.refused] == ["answers-may-be-cut-short"]
    assert server.searches < 2_000


@pytest.mark.parametrize("wild_cards", ["overlooked", "taken literally"])
def test_pages_to_the_end_are_believed_of_an_archive_that_knows_no_beginnings_of_patient_ids(
    tmp_path: Path, wild_cards: Literal["overlooked", "taken literally"]
) -> None:
    found = inventoried(CappedWeb(STUDIES, pages=True, wild_cards=wild_cards), tmp_path)
    assert is_whole(found)
    assert found.refused == []


def test_pages_in_no_stable_order_are_never_taken_as_whole(tmp_path: Path) -> None:
    """Page by page an archive that begins each answer elsewhere shows some studies twice, and others not at all."""
    server = CappedWeb(DATED, pages=True)
    whole = server.search

    def turned(method: str, path: str, body: bytes) -> Reply:
        order = list(server.studies.values())
        if "offset" in path:
            server.studies = {study.uid: study for study in [*order[3:], *order[:3]]}
        return whole(method, path, body)

    server.script = turned
    found = inventoried(server, tmp_path)
    assert sorted(found.uids) == sorted(study.uid for study in DATED)


def test_a_query_whose_answers_are_cut_short_is_an_error_with_advice(tmp_path: Path) -> None:
    for server in (CappedWeb(STUDIES), CappedWeb(STUDIES, limits=False)):
        with opened(server, tmp_path) as archive:
            with pytest.raises(ArchiveError, match="does not tell all") as caught:
                list(archive.reads.find_studies(StudyQuery()))
            assert "set page_size and trusted_answers" in caught.value.hint
    with opened(CappedWeb(STUDIES, limits=False), tmp_path, page_size=1_000, trusted_answers=1_000) as archive:
        assert len(list(archive.reads.find_studies(StudyQuery()))) == len(STUDIES)


# ------------------------------------------------------------------------------------------------ instances of a study


LARGE = Study(uid="1.2.9", date="20240101", patient="L", instances=45)


@pytest.mark.parametrize(
    ("server", "listed", "whole"),
    [
        (lambda: CappedWeb([LARGE], CAP, pages=True), 45, True),
        (lambda: CappedWeb([LARGE], CAP, pages=True, counts=False), 45, True),
        (lambda: CappedWeb([LARGE], limits=False), 45, True),
        (lambda: CappedWeb([LARGE], limits=False, counts=False), 45, False),
        (lambda: CappedWeb([LARGE], 30, limits=False), 30, False),
        (lambda: CappedWeb([LARGE], CAP), CAP, False),
        (lambda: CappedWeb([LARGE], 5, tells=True, counts=False), 5, False),
    ],
    ids=["paged", "paged-uncounted", "at-once", "at-once-uncounted", "own-limit", "capped", "told"],
)
def test_instances_that_may_be_cut_short_are_told_of_their_study_and_stop_no_inventory(
    tmp_path: Path, server: Callable[[], CappedWeb], listed: int, whole: bool
) -> None:
    """Where the archive counts a study's instances, that is what tells; a listing before reading is never half."""
    with opened(server(), tmp_path) as archive:
        found = [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]
        (study,) = (item for item in found if isinstance(item, StudyRecord))
        assert sum(isinstance(item, InstanceRecord) for item in found) == listed
        assert (study.basis is Basis.INSTANCES) == whole
        assert [item.code for item in found if isinstance(item, Refused)] == ["answers-may-be-cut-short"] * (not whole)
        reference = StudyRef(study_uid=StudyUID(LARGE.uid))
        if whole:
            assert len(list(archive.reads.list_instances(reference))) == listed
        else:
            with pytest.raises(ArchiveError, match="does not tell all of a study's instances"):
                list(archive.reads.list_instances(reference))


# ---------------------------------------------------------------------------------------------- what the profile says


def profiled(server: CappedWeb, folder: Path, **more: int | str) -> dict[str, str]:
    with opened(server, folder, **more) as archive:
        assert archive.probes is not None
        return {seen.name: f"{seen.value} {seen.unit}".strip() for seen in archive.probes.probe()}


LACKING = "searches do not tell SOP class and modality"
NARROWER = "inventories divide by date, time and Patient ID until nothing is hidden"


@pytest.mark.parametrize(
    ("server", "limit", "paging", "most", "cap"),
    [
        (lambda: CappedWeb(DATED, pages=True), "honoured", "honoured", "20 of 20 asked for, not cut short", None),
        (
            lambda: CappedWeb(DATED, CAP, pages=True),
            "honoured",
            "honoured",
            "10 of 20 asked for, then cut short, and continued page by page",
            "10 studies",
        ),
        (
            lambda: CappedWeb(DATED, CAP),
            "honoured",
            f"ignored: {NARROWER}",
            f"10 of 20 asked for, then cut short and not continued: {NARROWER}; its operator should raise that limit",
            "10 studies",
        ),
        (
            lambda: CappedWeb(DATED, pages=True, most=12),
            "honoured",
            "honoured",
            f"12 of 20 asked for, then cut short and not continued: {NARROWER}; its operator should raise that limit",
            "12 studies",
        ),
        (
            lambda: CappedWeb(DATED, limits=False),
            "ignored: 24 came where 2 were asked for",
            f"ignored: {NARROWER}",
            "24 of 20 asked for; nothing shows a limit",
            None,
        ),
        (
            lambda: CappedWeb(DATED[:1]),
            "not known: too few studies",
            "not known: too few studies",
            "1 of 20 asked for; nothing shows a limit",
            None,
        ),
        (
            lambda: CappedWeb([]),
            "not known: too few studies",
            "not known: too few studies",
            "not known: the archive shows no study",
            None,
        ),
        (
            lambda: CappedWeb(DATED, limits=False, refuses=20),
            "refused",
            f"refused: {NARROWER}",
            f"refused, as too many: {NARROWER}",
            None,
        ),
    ],
    ids=["whole", "paged", "capped", "capped-in-all", "without-a-limit", "one", "none", "too-broad"],
)
def test_the_profile_tells_how_answers_are_limited_and_what_to_do(
    tmp_path: Path, server: Callable[[], CappedWeb], limit: str, paging: str, most: str, cap: str | None
) -> None:
    seen = profiled(server(), tmp_path)
    assert (seen["limit"], seen["paging"]) == (limit, paging)
    assert seen["answers-to-one-search"] == most
    assert seen.get("answer-cap") == cap


@pytest.mark.parametrize(
    ("setting", "told", "expected"),
    [
        ("when-needed", {"00080016": "1.2", "00080060": "CT"}, "not needed: searches tell SOP class and modality"),
        (
            "when-needed",
            {"00080060": "CT"},
            "needed: searches do not tell SOP class; metadata do, which costs one more request for each series",
        ),
        (
            "when-needed",
            {},
            f'needed: {LACKING}; nor do metadata tell modality: set metadata = "never" to save the requests',
        ),
        ("never", {}, f'needed: {LACKING}; not asked for: set metadata = "when-needed"'),
    ],
    ids=["told", "needed", "of-no-use", "never"],
)
def test_the_profile_tells_whether_series_must_be_asked_for_metadata(
    tmp_path: Path, setting: str, told: dict[str, str], expected: str
) -> None:
    """Its metadata tell SOP classes, but no modality."""
    server = CappedWeb(DATED[:1], pages=True)
    uids = {"0020000D": "1.2.0", "0020000E": "1.2.0.1", "00080018": "1.2.0.1.1"}
    search = server.search

    def script(method: str, path: str, body: bytes) -> Reply:
        if path.endswith("/metadata"):
            return answers({**uids, "00080016": "1.2"})
        return answers({**uids, **told}) if "/instances?" in path else search(method, path, body)

    server.script = script
    assert profiled(server, tmp_path, metadata=setting)["metadata"] == expected
