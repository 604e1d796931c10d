"""Requirements in words that need no glossary: no stable word of a finding's kind, nothing told twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.model.counting import counted
from vna_lifecycle.policy.readiness import AttemptFacts, FoundKind, Terms, WaveFacts, wave_readiness
from vna_lifecycle.reporting.facts import FindingKind, Found
from vna_lifecycle.reporting.plain import in_plain_words, without_repeats
from vna_lifecycle.reporting.words import commands


def kind(word: str, *messages: str) -> FindingKind:
    """A kind whose findings say these things."""
    examples = tuple(Found(study_uid="", study="", wave="", message=message) for message in messages)
    same = messages[0] if len(set(messages)) == 1 else ""
    return FindingKind(
        kind=word, severity="blocker", check="", findings=9, waived=0, message=same, remedy="", examples=examples
    )


KINDS = (
    kind("changed-at-target", "1 object of this study was changed at the target"),
    kind("missing-issuer", "the Patient ID of this study has no issuer"),
    kind("one-uid-several-contents", "a UID has 2 contents", "a UID has 3 contents"),
    kind("truth-patient-differs", "the source's database and the headers differ in PatientID"),
)


@pytest.mark.parametrize(
    ("detail", "sentence", "about"),
    [
        (
            "1 finding of kind changed-at-target blocks the wave",
            "1 object of a study was changed at the target",
            "changed-at-target",
        ),
        (
            "1,020 findings of kind missing-issuer block the wave; the waiver by ada does not count: it expired",
            "the Patient ID of a study has no issuer (1,020 findings); the waiver by ada does not count: it expired",
            "missing-issuer",
        ),
        (
            "2 findings of kind one-uid-several-contents are waived",
            "a UID has 2 contents; and 1 more like it",
            "one-uid-several-contents",
        ),
        (
            "20 studies held back before storing: missing-issuer",
            "20 studies are held back: the Patient ID of the study has no issuer",
            "missing-issuer",
        ),
        (
            "1 study held back before storing: never-heard-of",
            "1 study is held back: never heard of",
            "never-heard-of",
        ),
        (
            "1 finding of kind truth-patient-differs blocks the wave",
            "the source's database and the headers differ in Patient ID",
            "truth-patient-differs",
        ),
        ("no radiologist has signed off yet", "no radiologist has signed off yet", ""),
    ],
)
def test_what_is_required_is_said_by_what_was_found(detail: str, sentence: str, about: str) -> None:
    said = in_plain_words(detail, KINDS)
    assert (said.sentence, said.kind) == (sentence, about)
    assert said.held is ("held back" in detail)


@given(
    counts=st.lists(st.integers(1, 3000), max_size=4),
    defective=st.integers(0, 5),
    held=st.integers(0, 3),
)
def test_no_stable_word_is_left_in_what_readiness_says(counts: list[int], defective: int, held: int) -> None:
    found = tuple(
        FoundKind(kind=each.kind, severity="blocker", count=count) for each, count in zip(KINDS, counts, strict=False)
    )
    reasons = [
        f"{counted(each.count, 'finding')} of kind {each.kind} {'blocks' if each.count == 1 else 'block'} the wave"
        for each in found
    ]
    reasons = [f"{defective} studies of the sample are defective"] * bool(defective) + reasons
    attempt = AttemptFacts(
        number=1, outcome="failed", population=9, size=9, sampled=9, defective=defective, confidence="1",
        max_defect_rate="0", reasons=tuple(reasons),
    )  # fmt: skip
    wave = WaveFacts(
        name="rest", studies=9, imported=9 - held, held=(("missing-issuer", held),) if held else (), findings=found,
        attempts=(attempt,),
    )  # fmt: skip
    for requirement in wave_readiness(wave, Terms()).requirements:
        said = in_plain_words(requirement.detail, KINDS).sentence
        assert " of kind " not in said
        assert not any(each.kind in said for each in KINDS)
        if requirement.name == "acceptance":
            assert ("defective" in said) is bool(defective)


def test_what_acceptance_says_of_findings_is_not_told_twice() -> None:
    both = "1 finding of kind a-b blocks the wave; 2 findings of kind c block the wave"
    history = "(acceptance 1 failed, 6 of 6 studies sampled, 2 defective)"
    assert without_repeats(f"not accepted: acceptance 1 of at most 3 failed: {both} {history}") == (
        "not accepted: acceptance 1 of at most 3 failed, by the findings named here"
    )
    assert without_repeats(f"failed: 2 studies are defective; {both}; nothing else") == (
        "failed: 2 studies are defective; nothing else"
    )


@given(st.text())
def test_the_parts_of_a_text_with_commands_are_the_whole_text(text: str) -> None:
    assert "".join(part for _, part in commands(text)) == text


def test_commands_are_told_from_words() -> None:
    assert commands("Look; or waive it: vna-lifecycle waive rest; then vna-lifecycle accept") == [
        (False, "Look; or waive it: "),
        (True, "vna-lifecycle waive rest"),
        (False, "; then "),
        (True, "vna-lifecycle accept"),
    ]
