"""Values are held to PS3.5 6.2, and where pydicom has a validator, we agree with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.config import RAISE
from pydicom.valuerep import validate_value

from vna_lifecycle.checks.forms import problem_of


@pytest.mark.parametrize(
    ("representation", "value", "problem"),
    [
        ("CS", "CHEST", ""),
        ("CS", "CHEST AND ABDOMEN", "too-long"),
        ("CS", "chest", "not-allowed"),
        ("LO", "x" * 64, ""),
        ("LO", "x" * 65, "too-long"),
        ("LO", "\u5c71" * 64, ""),  # characters, not bytes
        ("SH", "line\nbreak", "not-allowed"),
        ("PN", "=".join(["x" * 64] * 3), ""),
        ("PN", "x" * 65, "too-long"),
        ("UI", "1.2.840", ""),
        ("UI", "1.02.840", "not-allowed"),
        ("UI", "1..2", "not-allowed"),
        ("UI", "1." * 32 + "1", "too-long"),
        ("DA", "20240229", ""),
        ("DA", "20230229", "not-allowed"),
        ("DA", "2024.03.01", "not-allowed"),
        ("DA", "\u0662\u0660\u0662\u0664\u0660\u0662\u0662\u0669", "not-allowed"),
        ("TM", "235960.123456", ""),
        ("TM", "24", "not-allowed"),
        ("TM", "10:11:12", "not-allowed"),
        ("DT", "20240229101112.5+0100", ""),
        ("IS", " -12", ""),
        ("IS", "1.0", "not-allowed"),
        ("DS", "1.5e-3", ""),
        ("DS", "2,5", "not-allowed"),
        ("AS", "045Y", ""),
        ("AS", "45Y", "not-allowed"),
        ("LT", "first\r\nsecond", ""),
        ("ST", "x" * 1025, "too-long"),
        ("UT", "x" * 100_000, ""),
        ("US", "anything", ""),
        ("CS", "", ""),
    ],
)
def test_a_value_is_what_its_representation_allows(representation: str, value: str, problem: str) -> None:
    assert problem_of(value, representation) == problem


@pytest.mark.parametrize("representation", ["AS", "CS", "UI", "LO", "SH"])
@given(data=st.data())
def test_we_agree_with_pydicom(representation: str, data: st.DataObject) -> None:
    value = data.draw(st.text(alphabet="0129.AMY_ a^-", min_size=1, max_size=70).filter(lambda text: text.strip()))
    try:
        validate_value(representation, value, RAISE)
        allowed = True
    except ValueError:
        allowed = False
    assert (problem_of(value, representation) == "") is allowed
