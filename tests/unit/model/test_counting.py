"""Counts in sentences."""

import re
from pathlib import Path

import pytest

import vna_lifecycle
from vna_lifecycle.model.counting import bytes_text, counted, measured_text, size_text, told_of

SOURCES = Path(vna_lifecycle.__file__).parent


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "study", "0 studies"),
        (1, "study", "1 study"),
        (2, "study", "2 studies"),
        (1, "instance", "1 instance"),
        (12_345, "instance", "12,345 instances"),
        (1, "series", "1 series"),
        (3, "series", "3 series"),
        (2, "SOP Instance UID", "2 SOP Instance UIDs"),
    ],
)
def test_a_noun_agrees_with_its_count(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text


@pytest.mark.parametrize(
    ("predicate", "of_one"),
    [
        ("are at the target", "is at the target"),
        ("of this study are not as they were accepted", "of this study is not as it was accepted"),
        ("that were fetched are not to be at the target", "that was fetched is not to be at the target"),
        ("have no date, and nobody compared them", "has no date, and nobody compared it"),
        ("are not what they are at the source", "is not what it is at the source"),
        (
            "shares its name with themselves, here and in the area",
            "shares its name with themselves, here and in the area",
        ),
    ],
)
def test_a_predicate_agrees_with_its_count(predicate: str, of_one: str) -> None:
    assert told_of(1, "object", predicate) == f"1 object {of_one}"
    assert told_of(2, "object", predicate) == f"2 objects {predicate}"
    assert told_of(0, "object", predicate) == f"0 objects {predicate}"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (2_337_777, "2.3 MB"),
        (5 * 10**15, "5.0 PB"),
        (5 * 10**18, "5000.0 PB"),
    ],
)
def test_sizes_are_told_in_powers_of_1000(size: int, text: str) -> None:
    assert bytes_text(size) == text


def test_instances_without_a_size_are_not_said_to_have_none() -> None:
    assert [size_text(*each) for each in ((1000, 2), (0, 0), (0, 2))] == ["1.0 kB", "0 B", "size not told"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.05612, "0.056"), (0.0, "0"), (4.0, "4"), (44.4, "44"), (133.7, "130"), (12_345.6, "12000")],
)
def test_what_was_measured_is_told_to_two_digits(value: float, text: str) -> None:
    assert measured_text(value) == text


ROOMS = ("catalog", "checks", "cli", "demo", "engine", "policy", "program", "reporting")
NOUNS = "studies|instances|objects|files|findings|images|events|parts|records|contents|reasons|waves|checks"
BARE = re.compile(rf"""\{{(?!command\b)[^{{}}'"]*\}} (?:{NOUNS})\b""")


def test_no_message_has_a_plural_after_a_bare_count() -> None:
    found = [
        f"{path.relative_to(SOURCES)}: {line.strip()}"
        for room in ROOMS
        for path in sorted((SOURCES / room).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if BARE.search(line)
    ]
    assert found == []
