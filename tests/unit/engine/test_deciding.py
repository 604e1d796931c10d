"""Waivers, sign-offs and the gate: who may decide, what is covered, and for how long it holds."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tests.unit.catalog.updating import fold_anew

from vna_lifecycle.engine.cutover import cut_over
from vna_lifecycle.engine.decide_acceptance import SIGNS_OFF
from vna_lifecycle.engine.signature import fits, read_private, read_public, sign, statement
from vna_lifecycle.errors import ConfigurationError, StateError
from vna_lifecycle.ledger import generate_key, public_key_text
from vna_lifecycle.model.event import CutoverAllowed, CutoverRefused, FindingsWaived, SignedOff
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.policy.readiness import Standing
from vna_lifecycle.program import Program
from vna_lifecycle.program.terms import gate_terms
from vna_lifecycle.testing.memory import fill
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

SPECS = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}", grey=s * 10 + i) for s in (1, 2) for i in (1, 2)]
PEOPLE = """
[acceptance]
sign_offs = ["radiologist"]
{acceptance}
[people.mallory]
role = "radiologist"
key = "file:mallory.pub"
{mallory}
[people.alice]
role = "engineer"
"""
JUNE = dt.datetime(2030, 6, 1, 12, 0, tzinfo=dt.UTC)
KEY = "file:mallory"

Make = Callable[..., "Decided"]


class Decided:
    """A world whose one wave is moved, and accepted if asked."""

    def __init__(self, world: Any, monkeypatch: pytest.MonkeyPatch, acceptance: str) -> None:
        self.now = JUNE
        self.w = world(SPECS, PEOPLE.format(acceptance=acceptance, mallory=""))
        self.folder: Path = self.w.folder
        monkeypatch.chdir(self.folder)
        for name in ("mallory", "eve"):
            public = public_key_text(generate_key(self.folder / name))
            (self.folder / f"{name}.pub").write_text(f"{public}\n")
        with self.open() as program:
            program.take_inventory()
            program.plan()
            assert program.transfer("all").outcome == "complete"

    def open(self) -> Program:
        return Program.open(self.folder, plugins=self.w.plugins, clock=lambda: self.now)

    def rewrite(self, old: str, new: str) -> None:
        path = self.folder / "program.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def find(self, kind: str = "odd", *, wave: str = "all", study: int = 0, subject: str = "") -> None:
        """Put a blocker on record, as a check would."""
        with self.open() as program:
            reference = None
            if study:
                uid = ObjectSpec(study=study).study_uid
                reference = StudyRef(study_uid=StudyUID(uid), label=program.vault.label(uid))
            finding = Finding(
                kind=kind,
                severity=Severity.BLOCKER,
                message="odd",
                check="odd",
                study=reference,
                subjects=(subject,) if subject else (),
            )
            journal = program.records.journal()
            journal.record([journal.finding(finding, wave=wave)])


@pytest.fixture
def decided(world: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    def make(acceptance: str = "") -> Decided:
        return Decided(world, monkeypatch, acceptance)

    return make


def blockers(program: Program) -> tuple[str, ...]:
    return program.readiness("all").blockers


def waive(program: Program, finding: str = "odd", **changes: Any) -> Any:
    given = {"wave": "all", "by": "mallory", "reason": "known", "key": KEY, **changes}
    return program.waive(finding, **given)


# ------------------------------------------------------------------------------------------------ waivers


def test_a_waiver_covers_what_is_on_record_and_nothing_that_comes_later_or_differs(decided: Make) -> None:
    d = decided()
    d.find(study=1)
    with d.open() as program:
        assert any("1 finding of kind odd blocks the wave" in each for each in blockers(program))
        given = waive(program)
        assert (given.findings, given.signed, given.role, given.void) == (1, True, "radiologist", "")
        assert not any("odd" in each for each in blockers(program))
        assert [each.detail for each in program.readiness("all").requirements if each.standing is Standing.WAIVED] == [
            "1 finding of kind odd is waived"
        ]
    d.find(study=2)
    d.find(study=1, subject="another")
    with d.open() as program:
        assert any("2 findings of kind odd block the wave" in each for each in blockers(program))
        assert [item.open for item in program.waivers()] == [1]
        assert waive(program).findings == 2
        assert not any("odd" in each for each in blockers(program))


def test_a_waiver_may_be_for_one_study_alone(decided: Make) -> None:
    d = decided()
    d.find(study=1)
    d.find(study=2)
    with d.open() as program:
        assert waive(program, study=ObjectSpec(study=1).study_uid).findings == 1
        label = program.vault.label(ObjectSpec(study=2).study_uid)
        assert any("1 finding of kind odd blocks" in each for each in blockers(program))
        assert waive(program, study=label).findings == 1
        assert not any("odd" in each for each in blockers(program))


def test_a_waiver_for_the_program_covers_no_wave_and_the_other_way_round(decided: Make) -> None:
    d = decided()
    d.find(wave="")
    d.find()
    with d.open() as program:
        waive(program, wave="", expires=JUNE.date())
        assert any("odd" in each for each in blockers(program))
        assert not any("kind odd blocks the program" in each for each in program.status().cutover.reasons)
        d.now = JUNE + dt.timedelta(days=1)
        assert any("program; the waiver by mallory" in each for each in program.status().cutover.reasons)
        assert not any("the waiver by" in each for each in blockers(program)), "that one is of another place"


def test_what_is_found_again_as_it_was_is_still_covered(decided: Make) -> None:
    d = decided()
    d.find()
    with d.open() as program:
        waive(program)
        program.accept("all")  # settles what was found before
        assert program.findings("all", settled=True) != program.findings("all")
    d.find()
    with d.open() as program:
        assert "odd" in {line.kind for line in program.findings("all")}
        assert not any("odd" in each for each in blockers(program))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"by": "bob"}, ConfigurationError, "'bob' is none"),
        ({"by": ""}, ConfigurationError, "'' is none"),
        ({"reason": " "}, ConfigurationError, "a waiver needs a reason"),
        ({"expires": dt.date(2030, 5, 31)}, ConfigurationError, "2030-05-31 is over already"),
        ({"key": ""}, ConfigurationError, "mallory has a key in program.toml: a waiver must be signed"),
        ({"key": "file:eve"}, ConfigurationError, "--key is not the key of mallory"),
        ({"key": "file:mallory.pub"}, ConfigurationError, "--key does not hold an Ed25519 private key"),
        ({"key": "file:nowhere"}, ConfigurationError, "cannot be read"),
        ({"by": "alice"}, ConfigurationError, "program.toml has no public key of alice"),
        ({"finding": "even"}, StateError, "no open finding of kind 'even' in wave all that is not waived"),
        ({"wave": ""}, StateError, "no open finding of kind 'odd' about the program"),
        ({"study": "1.2.3"}, StateError, "no open finding of kind 'odd' about this study in wave all"),
        ({"wave": "nowhere"}, StateError, "there is no wave 'nowhere'"),
    ],
)
def test_what_cannot_be_a_waiver_is_refused_and_nothing_goes_on_record(
    decided: Make, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    d = decided()
    d.find(study=1)
    with d.open() as program:
        size = program.ledger.size()
        with pytest.raises(error, match=words):
            waive(program, **changes)
        assert program.ledger.size() == size


def test_without_people_in_program_toml_nobody_can_waive(world: Any) -> None:
    w = world(SPECS)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        with pytest.raises(ConfigurationError, match="a waiver needs a person") as caught:
            program.waive("headers-only", by="mallory", reason="known")
        assert caught.value.hint == "Add [people.NAME] with a role"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("revoked = 2030-06-01", "the key of mallory is revoked from 2030-06-01 on"),
        ("revoked = 2030-06-02", ""),
    ],
)
def test_a_revoked_key_signs_nothing_from_its_day_on(decided: Make, line: str, words: str) -> None:
    d = decided()
    d.find()
    d.rewrite('key = "file:mallory.pub"', f'key = "file:mallory.pub"\n{line}')
    with d.open() as program:
        if not words:
            assert waive(program).void == ""
            return
        with pytest.raises(ConfigurationError, match=words):
            waive(program)


def test_a_public_key_that_cannot_be_read_is_told_when_it_is_needed(decided: Make) -> None:
    d = decided()
    d.find()
    (d.folder / "mallory.pub").write_text("no key")
    with d.open() as program:
        assert program.status().waves
        with pytest.raises(ConfigurationError, match="the public key of mallory cannot be used: it does not hold"):
            waive(program)


def test_a_waiver_says_what_was_signed_so_that_a_stranger_can_check_it(decided: Make) -> None:
    d = decided()
    d.find()
    with d.open() as program:
        size, root = program.ledger.size(), program.ledger.root()
        waive(program, expires=dt.date(2030, 12, 31))
        (event,) = [each.event for each in program.ledger.read() if isinstance(each.event, FindingsWaived)]
        said = json.loads(event.statement)
        assert said["meaning"] == "I accept these findings as they are on record"
        assert {name: said[name] for name in ("wave", "finding", "by", "role", "reason", "expires")} == {
            "wave": "all",
            "finding": "odd",
            "by": "mallory",
            "role": "radiologist",
            "reason": "known",
            "expires": "2030-12-31",
        }
        assert (said["origin"], said["ledger_size"], said["ledger_root"]) == (program.ledger.origin, size, root)
        assert said["covers_ref"] == event.covers_ref
        public = read_public((d.folder / "mallory.pub").read_text())
        assert fits(event.statement, event.signature, public)
        assert not fits(event.statement + " ", event.signature, public)
        assert not fits(event.statement, event.signature, read_public((d.folder / "eve.pub").read_text()))


def test_a_waiver_can_be_withdrawn_once_and_does_not_hold_after_that(decided: Make) -> None:
    d = decided()
    d.find()
    with d.open() as program:
        given = waive(program)
        with pytest.raises(ConfigurationError, match="a withdrawal needs a reason"):
            program.withdraw_waiver(given.waiver, by="alice", reason="")
        with pytest.raises(StateError, match="there is no waiver 'other'"):
            program.withdraw_waiver("other", by="alice", reason="a mistake")
        with pytest.raises(ConfigurationError, match="'bob' is none"):
            program.withdraw_waiver(given.waiver, by="bob", reason="a mistake")
        program.withdraw_waiver(given.waiver, by="alice", reason="a mistake")
        assert [item.void for item in program.waivers()] == ["it was withdrawn"]
        assert any("1 finding of kind odd blocks the wave" in each for each in blockers(program))
        with pytest.raises(StateError, match="is withdrawn already"):
            program.withdraw_waiver(given.waiver, by="alice", reason="again")
        assert waive(program).findings == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("later", "it expired after 2030-06-30"),
        ("revoked", "the key of mallory is revoked from 2030-06-01 on"),
        ("gone", "program.toml does not list mallory any more"),
        ("other role", "mallory is physicist now, not radiologist"),
        ("other key", "it is signed with a key that is not mallory's in program.toml"),
        ("no key", "it is signed, and program.toml has no key of mallory any more"),
        ("unreadable", "the public key of mallory cannot be read"),
    ],
)
def test_at_the_gate_nothing_counts_that_does_not_hold_today_and_the_reason_is_told(
    decided: Make, change: str, why: str
) -> None:
    d = decided()
    with d.open() as program:
        assert not program.accept("all").ready
        program.sign("all", by="mallory", expires=dt.date(2030, 6, 30), key=KEY)
        assert program.readiness("all").ready
    d.find()
    with d.open() as program:
        waive(program, expires=dt.date(2030, 6, 30))
        assert program.readiness("all").ready
    match change:
        case "later":
            d.now = JUNE + dt.timedelta(days=30)
        case "revoked":
            d.rewrite('key = "file:mallory.pub"', 'key = "file:mallory.pub"\nrevoked = 2030-06-01')
        case "gone":
            d.rewrite("[people.mallory]", "[people.carol]")
        case "other role":
            d.rewrite('role = "radiologist"', 'role = "physicist"')
            d.rewrite('role = "engineer"', 'role = "radiologist"')
        case "other key":
            d.rewrite("mallory.pub", "eve.pub")
        case "no key":
            d.rewrite('key = "file:mallory.pub"', "")
        case _:
            (d.folder / "mallory.pub").unlink()
    with d.open() as program:
        status = program.status().waves[0]
        assert not status.ready
        assert any(each.startswith("1 finding of kind odd blocks the wave; the waiver by") for each in status.blockers)
        assert sum(why in each for each in status.blockers) == 2
        (waiver,) = program.waivers()
        assert why in waiver.void
        (sign_off,) = program.sign_offs()
        assert why in sign_off.void
        result = program.cutover(by="alice" if change != "gone" else "carol", reason="now")
        assert not result.allowed
        assert any(why in reason for reason in result.reasons)


@pytest.mark.parametrize(
    ("said", "on_record", "void"),
    [
        ({}, {}, ""),
        ({"origin": "vna-lifecycle/another"}, {}, "its signature does not fit what is on record"),
        ({}, {"wave": ""}, "its signature does not fit what is on record"),
        ({}, {"finding": "even"}, "its signature does not fit what is on record"),
        ({}, {"findings": 2}, "its signature does not fit what is on record"),
        ({}, {"covers_ref": "other"}, "its signature does not fit what is on record"),
        ({}, {"reason": "fine"}, "its signature does not fit what is on record"),
        ({}, {"expires": ""}, "its signature does not fit what is on record"),
        ({}, {"waiver": "other"}, "its signature does not fit what is on record"),
        ({}, {"statement": "{}"}, "its signature does not fit what is on record"),
        ({}, {"signature": "AAAA"}, "its signature does not fit what is on record"),
        ({}, {"key": ""}, "it is not signed, and mallory has a key in program.toml"),
    ],
)
def test_a_waiver_on_record_counts_only_if_it_is_what_was_signed(
    decided: Make, said: dict[str, Any], on_record: dict[str, Any], void: str
) -> None:
    d = decided()
    d.find()
    with d.open() as program:
        waive(program, expires=dt.date(2030, 6, 30))
        (event,) = [each.event for each in program.ledger.read() if isinstance(each.event, FindingsWaived)]
        text = statement({**json.loads(event.statement), "waiver": "forged", **said})
        journal = program.records.journal()
        if "covers_ref" in on_record:
            on_record = {"covers_ref": journal.keep_members([("x", "")])}
        signature = sign(text, read_private((d.folder / "mallory").read_text()))
        again = evolve(event, waiver="forged", statement=text, signature=signature)
        journal.record([("forged", evolve(again, **on_record))])
        assert [item.void for item in program.waivers()] == ["", void]


# ------------------------------------------------------------------------------------------------ sign-offs


def test_a_wave_is_ready_once_the_role_has_signed_what_acceptance_found(decided: Make) -> None:
    d = decided()
    with d.open() as program:
        with pytest.raises(StateError, match="wave all cannot be signed off: acceptance has not examined it"):
            program.sign("all", by="mallory", key=KEY)
        program.accept("all")
        assert blockers(program) == ("no radiologist has signed off yet",)
        program.sign("all", by="alice")
        assert blockers(program) == ("no radiologist has signed off yet",)
        given = program.sign("all", by="mallory", key=KEY)
        assert (given.attempt, given.meaning, given.signed) == (1, SIGNS_OFF, True)
        assert program.readiness("all").ready
        events = [each.event for each in program.ledger.read()]
        (event,) = (each for each in events if isinstance(each, SignedOff) and each.key)
        assert json.loads(event.statement)["result_ref"]
        program.accept("all")
        assert blockers(program) == (
            "the sign-off by mallory, radiologist, does not count: it is of acceptance 1, not of the latest",
        )


def test_an_acceptance_that_did_not_pass_or_is_outdated_cannot_be_signed(decided: Make) -> None:
    d = decided()
    with d.open() as program:
        program.accept("all")
        program.withdraw("all", study=ObjectSpec(study=1).study_uid, by="alice", reason="wrong")
        with pytest.raises(StateError, match="acceptance number 1 was before studies of it moved"):
            program.sign("all", by="mallory", key=KEY)
        with pytest.raises(ConfigurationError, match="a sign-off needs a meaning"):
            program.sign("all", by="mallory", key=KEY, meaning=" ")


# ------------------------------------------------------------------------------------------------ the gate


def gate_of(program: Program, reference: str) -> dict[str, Any]:
    gate: dict[str, Any] = program.records.journal().facts(reference)
    return gate


def test_cutover_is_refused_with_every_reason_then_allowed_and_both_are_on_record(decided: Make) -> None:
    d = decided()
    with d.open() as program:
        refused = program.cutover(by="alice", reason="friday")
        assert not refused.allowed
        assert [reason.split(":")[0] for reason in refused.reasons] == [
            "wave all",
            "1 finding of kind headers-only blocks the program",
            "2 catch-ups of old in a row must find nothing new",
        ]
        program.accept("all")
        program.sign("all", by="mallory", key=KEY)
        program.waive("headers-only", by="alice", reason="the old system cannot export its database")
        program.catch_up()
        assert len(program.cutover(by="alice", reason="friday").reasons) == 1
        program.catch_up()
        size = program.ledger.size()
        assert program.cutover(by="alice", reason="friday", dry_run=True).allowed
        assert program.ledger.size() == size
        allowed = program.cutover(by="alice", reason="friday")
        assert allowed.allowed
        assert str(allowed) == "Cutover: reading may be switched to the target"
        events = [each.event for each in program.ledger.read()]
        first, second = (each for each in events if isinstance(each, CutoverRefused))
        assert (first.by, first.reason, first.reasons, second.reasons) == ("alice", "friday", 3, 1)
        (last,) = (each for each in events if isinstance(each, CutoverAllowed))
        assert gate_of(program, first.gate_ref)["cutover"]["reasons"] == list(refused.reasons)
        gate = gate_of(program, last.gate_ref)
        assert gate["cutover"]["allowed"] is True
        assert gate["waves"][0]["ready"] is True
        assert gate["today"] == "2030-06-01"
        assert {each["name"] for each in gate["cutover"]["requirements"]} >= {"passes", "unchanged", "findings"}
        assert [(line.allowed, line.reasons) for line in program.catalog.decisions.cutovers()] == [
            (False, 3),
            (False, 1),
            (True, 0),
        ]
        assert program.verify_ledger(deep=True).ok
        status = program.status()
        assert status.waves[0].blockers == program.readiness("all").blockers
        fold_anew(program.catalog)
    with d.open() as program:
        assert program.status() == status


def test_what_changed_at_the_target_behind_our_back_is_found_at_the_gate(decided: Make) -> None:
    d = decided("equal_passes = 0")
    with d.open() as program:
        program.accept("all")
        program.sign("all", by="mallory", key=KEY)
        program.waive("headers-only", by="alice", reason="none")
        assert program.cutover(by="alice", reason="now").allowed
        changed = dicom_bytes(evolve(SPECS[0], grey=99))
        original = dicom_bytes(SPECS[0])
        (locator,) = [key for key, data in d.w.target.files.items() if data == original]
        d.w.target.files[locator] = changed
        assert program.status().cutover.allowed, "nobody has looked yet"
        refused = program.cutover(by="alice", reason="now")
        assert not refused.allowed
        assert "changed" in refused.reasons[0]
        assert not program.status().waves[0].ready
        d.w.target.files[locator] = original
        assert program.cutover(by="alice", reason="now").allowed, "what is so no more is settled"


def test_a_look_at_the_target_that_gives_no_result_refuses_cutover(decided: Make) -> None:
    d = decided("equal_passes = 0")
    with d.open() as program:
        program.accept("all")
        program.sign("all", by="mallory", key=KEY)
        program.waive("headers-only", by="alice", reason="none")
        journal, terms = program.records.journal(), gate_terms(program)
        result = cut_over(journal, terms, lambda wave: False, by="alice", reason="now", cancelled=lambda: False)
        assert result is not None
        assert result.reasons == (
            "wave all: whether the target is still as it was accepted could not be told just now",
            "what the sources hold could not be looked at again just now",
        )


def test_a_study_that_an_inventory_found_since_and_no_plan_has_placed_refuses_cutover(decided: Make) -> None:
    d = decided("equal_passes = 0")
    with d.open() as program:
        program.accept("all")
        program.sign("all", by="mallory", key=KEY)
        program.waive("headers-only", by="alice", reason="none")
        assert program.cutover(by="alice", reason="now").allowed
        fill(d.w.old, [dicom_bytes(ObjectSpec(study=3, patient_id="P3"))])
        program.take_inventory()
        assert program.status().unplanned == 1
        assert program.cutover(by="alice", reason="now").reasons == ("1 study in no wave and not excluded",)


def test_cutover_needs_a_reason_and_a_person(decided: Make) -> None:
    d = decided()
    with d.open() as program:
        with pytest.raises(ConfigurationError, match="cutover needs a reason"):
            program.cutover(by="alice", reason=" ")
        with pytest.raises(ConfigurationError, match="knows no person 'bob'"):
            program.cutover(by="bob", reason="now")


def test_a_cutover_that_is_cancelled_decides_nothing(decided: Make) -> None:
    d = decided()
    with d.open() as program:
        program.cancel()
        with pytest.raises(KeyboardInterrupt):
            program.cutover(by="alice", reason="now")
        assert program.catalog.decisions.cutovers() == []


# ------------------------------------------------------------------------------------------------ one study alone


def test_one_study_can_be_taken_back_and_excluded_and_the_rest_becomes_ready(decided: Make) -> None:
    d = decided()
    uid = ObjectSpec(study=1).study_uid
    d.find(study=1)
    with d.open() as program:
        program.accept("all")
        result = program.withdraw("all", study=uid, by="alice", reason="of another hospital")
        assert (result.withdrawn, result.instances, str(result)) == (
            1,
            2,
            "all: 1 study withdrawn, 2 instances removed",
        )
        assert len(d.w.target.files) == 2
        assert program.findings("all") == [line for line in program.findings("all") if line.kind != "odd"]
        with pytest.raises(StateError, match="nothing of the study is at the target"):
            program.withdraw("all", study=uid, by="alice", reason="again")
    path = d.folder / "program.toml"
    path.write_text(f'{path.read_text()}\n[[exclusions]]\nreason = "of another hospital"\nstudies = ["{uid}"]\n')
    with d.open() as program:
        program.plan()
        program.accept("all")
        program.sign("all", by="mallory", key=KEY)
        status = program.status()
        assert status.excluded == (("of another hospital", 1),)
        assert (status.waves[0].studies, status.waves[0].instances, status.waves[0].ready) == (1, 2, True)


def test_a_held_study_is_released_by_a_waiver_or_leaves_the_wave_by_an_exclusion(decided: Make) -> None:
    d = decided()
    two_people = [ObjectSpec(study=5, instance=i, patient_id=f"P{i}", patient_name=f"Other^{i}") for i in (8, 9)]
    fill(d.w.old, [dicom_bytes(spec) for spec in two_people])
    with d.open() as program:
        program.take_inventory()
        program.plan()
        result = program.transfer("all")
        assert (result.transferred, result.held) == (2, 1)
        assert any("1 study held back before storing" in each for each in blockers(program))
        (kind,) = {line.kind for line in program.findings("all") if line.origin == "hold"}
        with pytest.raises(StateError, match="nothing of the study is at the target"):
            program.withdraw("all", study=two_people[0].study_uid, by="alice", reason="wrong")
        given = waive(program, kind)
        assert program.transfer("all").outcome == "complete"
        assert not any("held back" in each for each in blockers(program))
        program.withdraw_waiver(given.waiver, by="alice", reason="a mistake")
        program.withdraw("all", study=two_people[0].study_uid, by="alice", reason="two people")
    path = d.folder / "program.toml"
    uid = two_people[0].study_uid
    path.write_text(f'{path.read_text()}\n[[exclusions]]\nreason = "two people"\nstudies = ["{uid}"]\n')
    with d.open() as program:
        program.plan()
        assert program.status().excluded == (("two people", 1),)
        assert {line.origin for line in program.findings("all")} == set()
        assert program.transfer("all").outcome == "complete"


def test_a_held_study_without_copies_may_be_excluded_at_once(decided: Make) -> None:
    d = decided()
    two_people = [ObjectSpec(study=5, instance=i, patient_id=f"P{i}", patient_name=f"Other^{i}") for i in (8, 9)]
    fill(d.w.old, [dicom_bytes(spec) for spec in two_people])
    with d.open() as program:
        program.take_inventory()
        program.plan()
        assert program.transfer("all").held == 1
    path = d.folder / "program.toml"
    uid = two_people[0].study_uid
    path.write_text(f'{path.read_text()}\n[[exclusions]]\nreason = "two people"\nstudies = ["{uid}"]\n')
    with d.open() as program:
        program.plan()
        assert program.findings("all") == []
        assert program.transfer("all").outcome == "complete"


def test_a_study_that_failed_before_anything_was_stored_can_be_taken_out_too(decided: Make) -> None:
    d = decided()
    lost = ObjectSpec(study=3, patient_id="P3")
    fill(d.w.old, [dicom_bytes(lost)])
    with d.open() as program:
        program.take_inventory()
        program.plan()
        gone = dicom_bytes(lost)
        for locator in [key for key, data in d.w.source.files.items() if data == gone]:
            del d.w.source.files[locator]
        assert program.transfer("all").transferred == 2
        dry = program.withdraw("all", study=lost.study_uid, by="alice", reason="lost", dry_run=True)
        size = program.ledger.size()
        assert (dry.withdrawn, dry.instances) == (1, 0)
        result = program.withdraw("all", study=lost.study_uid, by="alice", reason="lost")
        assert (result.withdrawn, result.kept, result.instances) == (1, 0, 0)
        assert program.ledger.size() > size
        assert dict(program.status().waves[0].states) == {"transferred": 2, "withdrawn": 1}
        assert program.findings("all") == []
        assert program.verify_ledger(deep=True).ok


def test_a_plan_that_brings_a_wave_nothing_new_leaves_its_acceptance_as_it_is(decided: Make) -> None:
    with decided().open() as program:
        program.accept("all")
        program.plan()
        assert [attempt.current for attempt in program.catalog.decisions.attempts("all")] == [True]
        program.sign("all", by="mallory", meaning="reviewed", key=KEY)
