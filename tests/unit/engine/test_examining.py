"""Whatever a check does, only its own result is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.accepting import Check, finding, silent

from vna_lifecycle.engine.examining import FAILURES_BORNE, Answer, Call, Examiner, PreparedCheck, Scope
from vna_lifecycle.engine.examining_findings import fault_of
from vna_lifecycle.errors import ArchiveUnreachable
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.ports import StudyCase

SECRET = "1.2.840.113619.2.55"


def ref(number: int = 1) -> StudyRef:
    return StudyRef(study_uid=StudyUID(f"1.2.{number}"), label=f"label{number}")


def case(number: int = 1) -> StudyCase:
    none = Manifest(study_uid=StudyUID(f"1.2.{number}"), entries=())
    return StudyCase(study=ref(number), records=(), source=none, expected=none, target=none)


class Wave:
    """A wave case of a few studies; ``failing`` is raised when it is asked for patients."""

    wave = "all"

    def __init__(self, failing: BaseException | None = None, slow: float = 0.0) -> None:
        self.failing = failing
        self.slow = slow

    def studies(self) -> Iterator[int]:
        for number in range(3):
            time.sleep(self.slow)
            yield number

    def patients(self) -> Iterator[int]:
        if self.failing is not None:
            raise self.failing
        yield from ()


def prepared(look: Callable[[Any], Any], name: str = "check", scope: Scope = Scope.STUDY) -> PreparedCheck:
    return PreparedCheck(name=name, provider="test", scope=scope, make=lambda: Check(look))


def examine(*calls: Call, limit: float = 0.2, examiner: Examiner | None = None) -> list[Answer]:
    return list((examiner or Examiner(limit, threading.Event())).examine(calls))


def on_study(look: Callable[[Any], Any]) -> Call:
    return Call(check=prepared(look), case=case())


def on_wave(look: Callable[[Any], Any], wave: Any = None) -> Call:
    return Call(check=prepared(look, scope=Scope.WAVE), case=wave or Wave())


def raises(case: Any) -> Iterator[Finding]:
    raise ValueError(SECRET)


def raises_late(case: Any) -> Iterator[Finding]:
    yield finding("before")
    raise KeyError(SECRET)


def leaves(case: Any) -> Iterator[Finding]:
    raise SystemExit(3)


def hangs(case: Any) -> Any:
    time.sleep(3600)


def hangs_when_closed(case: Any) -> Iterator[Any]:
    try:
        yield "no finding"
    finally:
        time.sleep(3600)


def endless(case: Any) -> Iterator[Finding]:
    while True:
        yield finding()


HARMFUL = [
    (raises, "check-failed"),
    (raises_late, "check-failed"),
    (leaves, "check-failed"),
    (lambda case: None, "check-failed"),
    (lambda case: 3, "check-failed"),
    (hangs, "check-timed-out"),
    (hangs_when_closed, "check-timed-out"),
    (lambda case: ["a blocker"], "check-misbehaved"),
    (lambda case: [finding(kind="Doe^Jane")], "check-misbehaved"),
    (lambda case: [finding(severity="blocker")], "check-misbehaved"),
    (lambda case: [finding(study="label1")], "check-misbehaved"),
    (lambda case: [finding(message=b"bytes")], "check-misbehaved"),
    (lambda case: [finding(message="x" * 2**25)], "check-misbehaved"),
    (endless, "check-misbehaved"),
]


@pytest.mark.parametrize(("look", "kind"), HARMFUL)
@pytest.mark.parametrize("on", [on_study, on_wave])
def test_a_harmful_check_is_found_out_and_the_next_one_is_called(
    on: Callable[[Any], Call], look: Callable[[Any], Any], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vna_lifecycle.engine.examining.MOST_OF_A_WAVE", 500)
    after = Call(check=prepared(lambda case: [finding("seen")], "next"), case=case(2))
    *_, bad, good = examine(on(look), after)
    told = bad.findings[-1]
    assert (bad.ended, bad.assessed, bad.check) == (True, False, "check")
    assert (told.kind, told.severity, told.check) == (kind, Severity.BLOCKER, "check")
    assert SECRET not in told.message
    assert (good.ended, good.assessed, [found.kind for found in good.findings]) == (True, True, ["seen"])


def test_what_a_check_said_before_it_failed_stands() -> None:
    [answer] = examine(on_study(raises_late))
    assert [found.kind for found in answer.findings] == ["before", "check-failed"]


def test_a_check_that_spins_is_left_behind_and_ends_with_its_next_sign_of_life() -> None:
    stop, before = threading.Event(), set(threading.enumerate())

    def spin(case: Any) -> Iterator[Finding]:
        while not stop.is_set():
            pass
        yield finding()

    [answer] = examine(on_study(spin), limit=0.1)
    assert answer.findings[-1].kind == "check-timed-out"
    stop.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_a_check_that_hung_is_never_called_again() -> None:
    examiner = Examiner(0.1, threading.Event())
    check = prepared(hangs)
    first = examine(Call(check=check, case=case(1)), Call(check=check, case=case(2)), examiner=examiner)
    second = examine(Call(check=check, case=case(3)), examiner=examiner)
    assert [answer.study for answer in [*first, *second]] == [ref(1)]
    assert "0.1 s" in examiner.given_up["check"]


def test_a_check_that_fails_again_and_again_is_given_up() -> None:
    check = prepared(raises)
    answers = examine(*(Call(check=check, case=case(number)) for number in range(FAILURES_BORNE + 5)))
    assert len(answers) == FAILURES_BORNE
    assert "not called again" in answers[-1].findings[0].message


def test_a_check_that_was_given_up_does_not_stop_the_others() -> None:
    bad, good = prepared(raises, "bad"), prepared(silent, "good")
    numbers = range(FAILURES_BORNE + 5)
    calls = [Call(check=check, case=case(number)) for number in numbers for check in (bad, good)]
    answers = examine(*calls)
    assert [answer.study for answer in answers if answer.check == "good"] == [ref(number) for number in numbers]


def test_a_check_is_made_once_and_where_it_can_do_no_harm() -> None:
    made = []

    def make() -> Check:
        made.append(1)
        return Check(silent)

    check = PreparedCheck(name="check", provider="test", scope=Scope.STUDY, make=make)
    examine(*(Call(check=check, case=case(number)) for number in range(3)))
    broken = PreparedCheck(name="broken", provider="test", scope=Scope.STUDY, make=lambda: 1 / 0)
    [answer] = examine(Call(check=broken, case=case()))
    assert (len(made), answer.findings[0].kind) == (1, "check-failed")
    assert "ZeroDivisionError" in answer.findings[0].message


def test_a_check_speaks_of_the_study_that_it_was_shown() -> None:
    [answer] = examine(on_study(lambda case: [finding(study=ref(9))]))
    assert [found.kind for found in answer.findings] == ["check-misbehaved"]


def test_a_finding_bears_the_checks_own_name_and_its_study() -> None:
    [answer] = examine(on_study(lambda case: [finding(check="another"), finding(study=ref(1))]))
    assert [(found.check, found.study) for found in answer.findings] == [("check", ref(1))] * 2


def test_many_findings_of_a_wave_come_piece_by_piece() -> None:
    answers = examine(on_wave(lambda case: (finding(message=str(number)) for number in range(5_000))))
    said = [found.message for answer in answers for found in answer.findings]
    assert said == [str(number) for number in range(5_000)]
    assert max(len(answer.findings) for answer in answers) <= 200
    assert [answer.ended for answer in answers] == [False] * (len(answers) - 1) + [True]


def test_time_that_the_case_takes_is_not_the_checks() -> None:
    [answer] = examine(on_wave(lambda case: [finding() for _ in case.studies()], Wave(slow=0.15)), limit=0.1)
    assert answer.assessed


@pytest.mark.parametrize("swallows", [False, True])
def test_trouble_of_the_case_is_raised_and_not_the_checks_failure(swallows: bool) -> None:
    def look(case: Any) -> Iterator[Finding]:
        try:
            list(case.patients())
        except ArchiveUnreachable:
            if not swallows:
                raise
        yield from ()

    call = on_wave(look, Wave(ArchiveUnreachable("gone", archive="new", transient=True)))
    answers = Examiner(1.0, threading.Event()).examine([call])
    with pytest.raises(ArchiveUnreachable):
        assert next(answers) is None, "nothing was said before the trouble was raised"


def test_when_cancelled_nothing_more_is_waited_for() -> None:
    cancelled = threading.Event()

    def look(case: Any) -> Any:
        cancelled.set()
        time.sleep(3600)

    assert examine(on_study(look), examiner=Examiner(3600.0, cancelled)) == []


TEXT = st.text(max_size=5)
ANYTHING = st.none() | st.integers() | st.binary(max_size=3) | TEXT
STUDIES = st.builds(StudyRef, study_uid=TEXT, label=TEXT)
RIGHT = st.builds(
    Finding,
    kind=st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,5}){0,3}", fullmatch=True),
    severity=st.sampled_from(Severity),
    message=TEXT,
    remedy=TEXT,
    subjects=st.lists(TEXT, max_size=2),
    details=st.lists(st.tuples(TEXT, TEXT), max_size=2),
    study=st.none() | STUDIES,
    check=TEXT,
)
SPOILT = {
    "kind": ANYTHING.filter(lambda kind: not isinstance(kind, str))
    | st.sampled_from(["", "Doe^Jane", "a_b", "-", "A"]),
    "severity": ANYTHING,
    "message": ANYTHING.filter(lambda text: not isinstance(text, str)),
    "subjects": st.just((1,)),
    "details": st.just((("word", b"bytes"),)),
    "study": st.just("1.2.3") | st.just(StudyRef(study_uid=None, label="x")),  # type: ignore[arg-type]  # a lie
}


@given(RIGHT)
def test_every_well_formed_finding_is_one(right: Finding) -> None:
    assert fault_of(right) == ""


@given(RIGHT, st.sampled_from(sorted(SPOILT)), st.data())
def test_nothing_that_could_not_be_put_on_record_is_a_finding(right: Finding, name: str, data: st.DataObject) -> None:
    assert fault_of(evolve(right, **{name: data.draw(SPOILT[name])})) != ""
    assert fault_of(data.draw(ANYTHING)) != ""
