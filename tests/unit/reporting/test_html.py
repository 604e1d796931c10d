"""The page as text: what it says, and that nothing in it is more than text."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from unit.reporting.hostile import EVERYTHING, PAYLOADS
from unit.reporting.synthetic import EMPTY, REALISTIC, allowed, endlessly, large, many, with_text
from vna_lifecycle.policy.readiness import Standing
from vna_lifecycle.reporting import words
from vna_lifecycle.reporting.facts import Facts
from vna_lifecycle.reporting.html import render


def page(facts: Facts) -> str:
    return "".join(render(facts))


def read(facts: Facts) -> str:
    """What one reads, in one line."""
    body = re.sub(r"<style>.*?</style>", "", page(facts), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", "", body).replace("&#39;", "'").split())


def test_the_first_thing_one_reads_is_what_blocks_cutover_with_what_to_do_and_who() -> None:
    text = read(REALISTIC)
    heading, board = text.index("Cutover is not allowed yet"), text.index("Imported and ready are two different things")
    for obstacle in REALISTIC.gate.obstacles:
        assert heading < text.index(obstacle.sentence) < board
        assert text.index(obstacle.remedy) < board
        assert text.index(obstacle.who) < board


def test_the_page_says_which_wave_may_be_used_and_why_the_other_may_not() -> None:
    text = read(REALISTIC)
    assert "May be used for care: pilot" in text
    assert "Not for care yet: cross-sectional 2020-2025" in text
    for reason in REALISTIC.waves[1].reasons:
        assert reason in text


def test_imported_and_ready_stand_side_by_side_with_numbers() -> None:
    text = read(REALISTIC)
    assert "Imported99 % 2,409 of 2,412 studies Ready0 % 0 of 2,412 studies" in text
    assert "Imported100 % 180 of 180 studies Ready100 % 180 of 180 studies" in text


def test_when_all_is_ready_the_page_says_so_and_names_no_obstacle() -> None:
    text = read(allowed())
    assert "Cutover is allowed" in text
    assert "stand in the way" not in text
    assert "Not for care" not in text


@pytest.mark.parametrize("standing", list(Standing))
def test_every_standing_of_a_requirement_is_a_word_with_a_sign_of_its_own(standing: Standing) -> None:
    only = evolve(REALISTIC.waves[0].requirements[0], standing=standing)
    html = page(evolve(REALISTIC, waves=(evolve(REALISTIC.waves[0], requirements=(only,)),)))
    sign = re.search(
        rf'<span class="mark [a-z-]+"><svg[^>]*>(.*?)</svg>{standing.value.replace("-", " ")}</span>', html
    )
    assert sign is not None


def test_what_is_not_known_is_left_out_and_never_faked() -> None:
    text = read(EMPTY)
    for title in ("Findings of", "in pictures", "Studies and their path", "Left out", "Sources", "What people decided"):
        assert title not in text
    assert "Nothing is planned." in text


def test_a_waiver_is_told_with_who_why_and_until_when() -> None:
    text = read(REALISTIC)
    assert "Waived by Dr. Ada Okafor, head of imaging, until 31 Dec 2026" in text
    assert "read as intended on both viewers" in text


def test_acceptance_is_told_in_a_sentence_with_its_confidence() -> None:
    assert "With 95 % confidence, at most 0.5 % of the wave's studies" in read(REALISTIC)


def test_a_page_over_100_000_studies_stays_small_and_says_where_the_rest_is() -> None:
    html = page(large())
    assert len(html) < 500_000
    assert "99,800 more" in html
    assert "12,340 more: see <code>findings.csv</code>" in html or "12,343 more: see <code>findings.csv</code>" in html


def test_forty_waves_are_all_on_the_board() -> None:
    facts = many(40)
    text = read(facts)
    assert all(text.count(wave.name) >= 1 for wave in facts.waves)
    assert "and 7 more" in text  # names in the headline are cut, with their number


def test_the_policy_allows_the_style_by_its_digest_and_nothing_else() -> None:
    html = page(REALISTIC)
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    [style] = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


TAGS = {re.sub(r'"[^"]*"', '""', tag) for tag in re.findall(r"<[a-z!/][^>]*>", page(with_text(lambda: "x")))}


@pytest.mark.parametrize("turn", range(24))
def test_no_text_makes_an_element_or_an_attribute(turn: int) -> None:
    html = page(with_text(endlessly([*EVERYTHING[turn * 23 :], *EVERYTHING[: turn * 23]])))
    names = {re.sub(r'"[^"]*"', '""', tag) for tag in re.findall(r"<[a-z!/][^>]*>", html)}
    assert names <= TAGS


def test_there_are_more_than_500_payloads() -> None:
    assert len(set(PAYLOADS)) >= 500


@given(st.text())
def test_visible_text_only_prints_and_keeps_what_prints(text: str) -> None:
    shown = words.visible(text)
    assert shown.isprintable()
    if len(text) <= 600 and text.isascii() and text.isprintable():
        assert shown == text


def test_direction_overrides_controls_and_stacked_marks_are_shown_as_escapes() -> None:
    assert words.visible("a\u202eb\x1bc\ud800") == "a\\u202eb\\x1bc\\ud800"
    assert words.visible("e" + "\u0301" * 9).count("\u0301") == 4
    assert words.visible("مستشفى") == "مستشفى"


def test_long_text_is_cut_and_the_rest_counted() -> None:
    assert words.visible("x" * 1_900).endswith("x … (1,300 more characters)")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (words.number(1234), "1,234"),
        (words.share(2_411, 2_412), "99 %"),
        (words.share(1, 2_412), "<1 %"),
        (words.share(0, 0), "0 %"),
        (words.moment("2026-05-03T09:14:07.000000Z"), "3 May 2026, 09:14 UTC"),
        (words.moment("=1+1"), "=1+1"),
        (words.day("2026-12-31"), "31 Dec 2026"),
        (words.joined(("a", "b", "c")), "a, b and c"),
    ],
)
def test_numbers_and_times_are_for_people(told: str, expected: str) -> None:
    assert told == expected


def test_facts_become_json_with_every_number_of_the_page() -> None:
    raw = REALISTIC.to_dict()
    assert (raw["planned"], raw["imported"], raw["usable"]) == (2_592, 2_589, 180)
    assert raw["waves"][0]["requirements"][2]["standing"] == "waived"
    assert set(with_text(endlessly(["x"])).to_dict()) == set(raw)
