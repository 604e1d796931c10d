"""Names and persons are compared sensibly, and nothing is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.policy.person import Likeness, Person, likeness, name_likeness, same_people

SAME, VARIANT, OTHER, UNKNOWN = Likeness.SAME, Likeness.VARIANT, Likeness.OTHER, Likeness.UNKNOWN


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Doe^Jane", "DOE^JANE", SAME),
        ("Doe^Jane", "Doe^Jane^^^", SAME),
        ("Doe^Jane", "DOE, JANE", SAME),
        ("Doe^Jane", "Doe^Jane^Marie", SAME),
        ("Doe^Jane^M", "Doe^Jane^Marie", SAME),
        ("Doe^Jane^^Dr.", "Doe^Jane", SAME),
        ("O'Brien^Ann", "OBRIEN^ANN", SAME),
        ("van der Berg^Jan", "VAN DER BERG^JAN", SAME),
        ("Smith-Jones^Eve", "Smith Jones^Eve", SAME),
        ("\uff34\uff21\uff32\uff2f^", "Taro", SAME),  # full width
        ("M\u00fcller^J\u00f6rg", "Mu\u0308ller^Jo\u0308rg", SAME),  # composed and decomposed
        ("Yamada^Tarou=\u5c71\u7530^\u592a\u90ce", "\u3084\u307e\u3060=\u5c71\u7530^\u592a\u90ce", SAME),
        ("Doe^Jane", "Roe^Jane", VARIANT),
        ("Doe^Jane", "Doe^John", VARIANT),
        ("Jane^Doe", "Doe^Jane", VARIANT),
        ("Doe^Jane^Marie", "Doe^Jane^Anna", VARIANT),
        ("Doe", "Doe^Jane", VARIANT),  # a family name alone names nobody
        ("M\u00fcller^Eva", "Mueller^Eva", VARIANT),  # not guessed to be the same
        ("Doe^Jane", "Smith^Robert", OTHER),
        ("Doe^Jane", "", UNKNOWN),
        ("Yamada^Tarou", "=\u5c71\u7530^\u592a\u90ce", UNKNOWN),
    ],
)
def test_names_are_compared_within_their_groups(one: str, other: str, expected: Likeness) -> None:
    assert name_likeness(one, other) is expected
    assert name_likeness(other, one) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Person("Doe^Jane", "19700101", "F"), Person("DOE^JANE", "19700101", ""), SAME),
        (Person("Doe^Jane", "19700101", "F"), Person("Roe^Jane", "19700101", "F"), VARIANT),
        (Person("Doe^Jane", "19700101", "F"), Person("Doe^Jane", "19700102", "F"), VARIANT),
        (Person("Doe^Jane", "19700101", "F"), Person("Doe^Jane", "19700101", "M"), VARIANT),
        (Person("Doe^Jane", "19700101", "F"), Person("Doe^Jane", "19330303", "M"), OTHER),
        (Person("Doe^Jane", "19700101", "F"), Person("Roe^Jane", "19700102", "F"), OTHER),
        (Person("Doe^Jane", "19700101", "F"), Person("Smith^Robert", "19700101", "F"), OTHER),
        (Person("Doe^Jane", "", ""), Person("", "", ""), UNKNOWN),
        (Person("Doe^Jane", "19700101", "F"), Person("Doe^Jane", "19700101", "O"), SAME),
    ],
)
def test_persons_are_told_apart_by_more_than_one_difference(one: Person, other: Person, expected: Likeness) -> None:
    assert likeness(one, other) is expected
    assert likeness(other, one) is expected


@given(st.text(alphabet="aB\u00e4 ^=,.-'\u5c71", max_size=20), st.text(alphabet="aB\u00e4 ^=,.-'\u5c71", max_size=20))
def test_a_name_is_like_itself_and_likeness_has_no_direction(one: str, other: str) -> None:
    assert name_likeness(one, one) in (SAME, UNKNOWN)
    assert name_likeness(one, other) is name_likeness(other, one)


def test_people_are_grouped_by_name_and_kept_apart_by_sex() -> None:
    born = "19700101"
    entries = [
        [Person("Doe^Jane", born, "F")],
        [Person("DOE, JANE", born, "")],
        [Person("Doe^Jane", born, "M")],
        [Person("Roe^Jane", born, "F")],
        [Person("Roe^Richard", born, "M"), Person("Doe^Jane^Marie", born, "F")],
    ]
    assert set(same_people(entries)) == {(0, 1, 4), (1, 2)}
