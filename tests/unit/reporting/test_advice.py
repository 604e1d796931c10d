"""What to do and who can, for everything that readiness and the gate can ask for."""

from __future__ import annotations

import inspect
import re

import pytest

from vna_lifecycle.cli.app import VERBS
from vna_lifecycle.policy import cutover, readiness
from vna_lifecycle.policy.readiness import Requirement, Standing
from vna_lifecycle.reporting.advice import ADVICE, advice

PEOPLE = (("Ada", "radiologist"), ("Grace", "records officer"))


def test_every_requirement_that_can_fail_has_advice() -> None:
    source = inspect.getsource(readiness) + inspect.getsource(cutover)
    named = set(re.findall(r'name = "([a-z-]+)"', source)) | set(re.findall(r'name="([a-z-]+)"', source))
    assert named == {name for name, _ in ADVICE}


@pytest.mark.parametrize("key", ADVICE, ids="-".join)
def test_every_advice_says_what_and_who(key: tuple[str, str]) -> None:
    requirement = Requirement(name=key[0], standing=Standing(key[1]), detail="no radiologist has signed off yet")
    remedy, who = advice(requirement, PEOPLE, "CT 2020")
    assert remedy
    assert who
    assert "WAVE" not in remedy


def test_a_command_names_its_wave_so_that_it_can_be_copied() -> None:
    missing = Requirement(name="acceptance", standing=Standing.MISSING, detail="not accepted")
    assert advice(missing, PEOPLE, "CT 2020; rm -r")[0].endswith("vna-lifecycle accept 'CT 2020; rm -r'")
    assert advice(missing, PEOPLE)[0].endswith("vna-lifecycle accept")


def test_who_must_sign_is_named() -> None:
    missing = Requirement(name="sign-off", standing=Standing.MISSING, detail="no records officer has signed off yet")
    assert advice(missing, PEOPLE)[1] == "Grace, records officer"
    assert "program.toml lists nobody" in advice(missing, ())[1]


def test_what_is_met_needs_no_advice() -> None:
    assert advice(Requirement(name="acceptance", standing=Standing.MET, detail="accepted"), PEOPLE) == ("", "")


def test_every_command_that_is_advised_is_a_verb() -> None:
    verbs = {verb.__name__.replace("_", "-") for verb in VERBS if callable(verb) and hasattr(verb, "__name__")}
    advised = {verb for each in ADVICE.values() for verb in re.findall(r"vna-lifecycle ([a-z-]+)", each.remedy)}
    assert advised <= verbs
