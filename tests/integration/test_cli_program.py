"""A program run from its first verb to its last, in this process."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen

from peers.folder_program import PILOT_AND_REST, write_program
from vna_lifecycle.cli import main
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

CT = ObjectSpec(study=1, patient_id="P1", modality="CT")
MR = ObjectSpec(study=2, patient_id="P2", modality="MR")
US = ObjectSpec(study=3, patient_id="P3", modality="US")
OTHER = ObjectSpec(study=3, patient_id="P3", modality="US", grey=200)  # another content under the same UIDs
PHANTOMS = """
[[exclusions]]
reason = "phantoms"
patient_ids = ["P9"]
"""


@frozen
class Run:
    """What a verb did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        value: dict[str, object] = json.loads(self.out)
        return value


Cli = Callable[..., Run]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A program's folder: two archives, settings, and nothing done yet."""
    write_program(tmp_path, PILOT_AND_REST + PHANTOMS)
    for number, spec in enumerate((CT, MR, US, OTHER, ObjectSpec(study=9, patient_id="P9"))):
        (tmp_path / "old" / f"IM{number}").write_bytes(dicom_bytes(spec))
    (tmp_path / "old" / "notes.txt").write_text("no image")
    return tmp_path


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Calls a verb on the program in ``folder``; keyword ``expect`` is the exit code that it must end with."""

    def call(*argv: str, expect: int = 0, place: bool = True) -> Run:
        capsys.readouterr()
        code = main([*argv, *(("--program", str(folder)) if place else ())])
        streams = capsys.readouterr()
        assert code == expect, streams.out + streams.err
        return Run(code, streams.out, streams.err)

    call("init", str(folder), place=False)
    return call


def planned(cli: Cli) -> None:
    cli("inventory")
    cli("plan")


def moved(cli: Cli) -> None:
    planned(cli)
    cli("transfer", expect=1)


def test_every_step_tells_people_what_it_did(cli: Cli) -> None:
    assert "old (files, source)\n    answers; can be read" in cli("check").out
    assert cli("inventory").out.startswith("old: 4 studies, 5 instances")
    plan = cli("plan").out
    assert "pilot: 1 study, 1 instance" in plan
    assert "excluded: 1 study (phantoms)" in plan
    transfer = cli("transfer", expect=1).out
    assert "pilot: 1 of 1 study transferred (complete)" in transfer
    assert "rest: 1 of 2 studies transferred, 1 incomplete" in transfer
    assert "The ledger holds" in cli("ledger", "verify", "--deep").out


def test_every_step_tells_programs_what_it_did(cli: Cli, folder: Path) -> None:
    check = cli("check", "--json").json
    assert (check["ok"], check["folder"]) == (True, str(folder))
    (inventory,) = cli("inventory", "--json").json["inventories"]
    assert (inventory["studies"], inventory["instances"], inventory["refused"]) == (4, 5, 1)
    plan = cli("plan", "--json").json
    assert [(wave["name"], wave["studies"]) for wave in plan["waves"]] == [("pilot", 1), ("rest", 2)]
    assert plan["excluded"] == [{"reason": "phantoms", "studies": 1}]
    waves = cli("transfer", "--json", expect=1).json["waves"]
    assert [(wave["wave"], wave["outcome"], wave["transferred"]) for wave in waves] == [
        ("pilot", "complete", 1),
        ("rest", "incomplete", 1),
    ]
    status = cli("status", "--json").json
    assert [(wave["imported"], wave["ready"]) for wave in status["waves"]] == [(1, False), (1, False)]
    assert status["cutover"]["allowed"] is False
    assert cli("ledger", "verify", "--json").json["size"] == status["ledger"]["size"]


def test_a_dry_run_changes_nothing(cli: Cli, folder: Path) -> None:
    cli("inventory")
    assert cli("plan", "--dry-run", "--json").json["waves"]
    assert cli("status", "--json").json["waves"] == []
    cli("plan")
    waves = cli("transfer", "--dry-run", "--json").json["waves"]
    assert [(wave["wave"], wave["studies"], wave["instances"]) for wave in waves] == [("pilot", 1, 1), ("rest", 2, 2)]
    assert sum(wave["size"] for wave in waves) > 1000
    assert "Nothing was moved" in cli("transfer", "--dry-run").out
    assert list((folder / "new").iterdir()) == []
    cli("transfer", "pilot")
    would = cli("withdraw", "pilot", "--by", "me", "--reason", "test", "--dry-run").out
    assert would.startswith("pilot: 1 study, 1 instance would be withdrawn")
    assert cli("status", "--json").json["waves"][0]["imported"] == 1


def test_run_does_what_the_three_verbs_do_and_then_nothing_again(cli: Cli, folder: Path) -> None:
    dry = cli("run", "--dry-run", "--json").json
    assert [(wave["name"], wave["studies"]) for wave in dry["plan"]["waves"]] == [("pilot", 1), ("rest", 2)]
    assert cli("status", "--json").json["waves"] == []
    assert list((folder / "new").iterdir()) == []
    ran = cli("run", expect=1).out
    assert "pilot: 1 of 1 study transferred (complete)" in ran
    assert "rest: 1 of 2 studies transferred, 1 incomplete" in ran
    again = cli("run", "--json", expect=1).json
    assert (again["inventories"], again["plan"]) == ([], None)
    assert [(wave["transferred"], wave["remaining"]) for wave in again["waves"]] == [(1, 0), (1, 0)]
    assert cli("status", "--json").json["sources"][0]["inventory"] == 1


def test_a_dry_run_with_retry_counts_what_ended_incomplete(cli: Cli) -> None:
    moved(cli)
    assert [wave["studies"] for wave in cli("transfer", "--dry-run", "--json").json["waves"]] == [0, 0]
    assert [wave["studies"] for wave in cli("transfer", "--dry-run", "--retry", "--json").json["waves"]] == [0, 1]


def test_held_contents_are_listed_decided_and_then_moved(cli: Cli) -> None:
    moved(cli)
    held = cli("remediate", "--json", expect=1).json["held"]
    assert {item["sop_instance_uid"] for item in held} == {US.sop_instance_uid}
    assert len({item["content"] for item in held}) == 2
    listed = cli("remediate", "rest", expect=1).out
    assert f"{US.sop_instance_uid}: 2 contents (content)" in listed
    assert cli("remediate", "pilot").out == "Nothing is held for a decision.\n"
    choice = f"{US.sop_instance_uid}={held[0]['content'][:10].upper()}"
    cli("remediate", "pilot", "--choose", choice, "--by", "me", "--reason", "newer", expect=8)  # held in another wave
    told = cli("remediate", "rest", "--choose", choice, "--by", "me", "--reason", "newer").out
    assert "by me" in told
    assert "Next: vna-lifecycle transfer rest" in told
    assert cli("transfer", "rest").out.startswith("rest: 2 of 2 studies transferred (complete)")
    assert cli("remediate").out == "Nothing is held for a decision.\n"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--choose", "1.2.3=ab", "--by", "me", "--reason", "why"], 8, "no contents are held"),
        (["--choose", "1.2.3", "--by", "me", "--reason", "why"], 2, "'1.2.3' is not"),
        (["--choose", f"{US.sop_instance_uid}=", "--by", "me", "--reason", "why"], 2, "is not"),
        (["--choose", f"{US.sop_instance_uid}=ab", "--by", "me"], 2, "needs a reason"),
        (["--choose", f"{US.sop_instance_uid}=ab", "--reason", "why"], 2, "needs the name of the person"),
        (["--choose", f"{US.sop_instance_uid}=zz", "--by", "me", "--reason", "why"], 8, "begin with 'zz'"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(cli: Cli, arguments: list[str], code: int, told: str) -> None:
    moved(cli)
    assert told in cli("remediate", *arguments, expect=code).err
    assert cli("remediate", "--json", expect=1).json["held"]


def test_findings_name_their_objects_and_what_to_do(cli: Cli) -> None:
    moved(cli)
    found = cli("findings", "--json").json
    of_source, finding = found["findings"]
    assert (of_source["kind"], of_source["wave"]) == ("headers-only", "")
    assert (finding["kind"], finding["wave"]) == ("several-contents-content", "rest")
    assert finding["objects"] == [US.sop_instance_uid]
    assert (finding["study_uid"], bool(finding["remedy"])) == (US.study_uid, True)
    assert [(item["archive"], item["locator"], item["code"]) for item in found["refused"]] == [
        ("old", "notes.txt", "not-dicom")
    ]
    told = cli("findings").out
    assert US.sop_instance_uid in told
    assert "old:notes.txt  not-dicom" in told
    assert cli("findings", "pilot").out == "Nothing was found.\n"


def test_a_paused_wave_waits_until_it_is_resumed(cli: Cli) -> None:
    planned(cli)
    cli("pause", "pilot", "--by", "me", "--reason", "the source is slow")
    assert cli("transfer", "pilot", "--json", expect=1).json["waves"][0]["outcome"] == "paused"
    cli("resume", "pilot", "--by", "me")
    assert cli("transfer", "pilot", "--json").json["waves"][0]["outcome"] == "complete"


def test_a_withdrawn_wave_can_be_planned_and_moved_again(cli: Cli, folder: Path) -> None:
    planned(cli)
    cli("transfer", "pilot")
    gone = cli("withdraw", "pilot", "--by", "me", "--reason", "wrong target", "--json").json
    assert (gone["withdrawn"], gone["kept"], gone["instances"]) == (1, 0, 1)
    cli("plan")
    cli("transfer", "pilot")


def test_catch_up_ends_with_1_when_the_source_has_changed(cli: Cli, folder: Path) -> None:
    moved(cli)
    assert cli("catch-up", "--json").json["sources"][0]["equal"] is True
    (folder / "old" / "IM99").write_bytes(dicom_bytes(ObjectSpec(study=4, patient_id="P4")))
    told = cli("catch-up", "--sample", "1", expect=1).out
    assert "1 study added" in told
    assert "vna-lifecycle plan" in told
    assert "--sample" in cli("catch-up", "--sample", "-1", expect=2).err


def test_compare_ends_with_1_exactly_when_the_archives_differ(cli: Cli, folder: Path) -> None:
    planned(cli)
    cli("transfer", "pilot")
    old, new = str(folder / "old"), str(folder / "new")
    result = cli("compare", old, new, "--json", expect=1, place=False).json
    assert (result["same"], result["match"], len(result["missing"])) == (False, 1, 3)
    assert f"only in the first: {MR.sop_instance_uid}" in cli("compare", old, new, expect=1, place=False).out
    assert "1 instance matches" in cli("compare", new, new, place=False).out
    assert "neither" in cli("compare", "nowhere", new, expect=2, place=False).err


def test_compare_says_in_what_a_re_encoded_object_differs(cli: Cli, folder: Path) -> None:
    old, padded = folder / "one", folder / "padded"
    for place, more in ((old, b""), (padded, bytes(2))):
        place.mkdir()
        (place / "IM1").write_bytes(dicom_bytes(MR) + more)
    result = cli("compare", str(old), str(padded), "--json", place=False).json
    assert (result["same"], result["rungs"]) == (True, {"hashed": 0, "equivalent": 1})
    assert result["equivalent"] == [MR.sop_instance_uid]
    assert result["re_encoded"] == [{"sop_instance_uid": MR.sop_instance_uid, "classes": ["trailing-padding"]}]
    assert "re-encoded: trailing-padding (1)" in cli("compare", str(old), str(padded), place=False).out


def test_the_ledger_can_be_shown_signed_and_proved(cli: Cli, folder: Path) -> None:
    planned(cli)
    shown = cli("ledger", "show", "--json").out.splitlines()
    events = [json.loads(line) for line in shown]
    assert [event["sequence"] for event in events] == list(range(len(events)))
    assert events[0]["event"]["kind"] == "program-created"
    assert len(cli("ledger", "show", "--from", "2").out.splitlines()) == len(events) - 2
    note = folder / "note"
    cli("ledger", "checkpoint", "--output", str(note))
    assert cli("ledger", "checkpoint").out == note.read_text()
    cli("transfer", "pilot")
    assert cli("ledger", "verify", "--checkpoint", str(note), "--json").json["ok"] is True
    proof = folder / "proof.json"
    said = cli("ledger", "prove", "1", "--output", str(proof)).out
    command = shlex.split(said.split("Python: ")[1])
    checked = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    forged = subprocess.run([sys.executable, *command[1:-1], "A" * 43 + "="], capture_output=True, check=False)
    assert forged.returncode != 0
    assert json.loads(proof.read_text()) == cli("ledger", "prove", "1").json
    cli("ledger", "prove", "9999", expect=8)


def test_a_checkpoint_of_another_history_is_found_out(cli: Cli, folder: Path) -> None:
    note = folder / "note"
    cli("ledger", "checkpoint", "--output", str(note))
    note.write_text(note.read_text().replace("\n1\n", "\n2\n", 1))
    result = cli("ledger", "verify", "--checkpoint", str(note), "--json", expect=5)
    assert result.json["ok"] is False


def test_verbs_that_take_no_effect_need_no_lease(cli: Cli, folder: Path) -> None:
    planned(cli)
    import fcntl

    with (folder / "lease").open("rb+") as lease:
        fcntl.flock(lease, fcntl.LOCK_EX)
        for verb in (["status"], ["findings"], ["check"], ["ledger", "verify"], ["pause", "--by", "me"]):
            cli(*verb)
        held = cli("inventory", "--json", expect=6).json["error"]
    assert (held["type"], held["exit_code"]) == ("LeaseHeld", 6)
    assert "plan" in held["holder"]


def test_plugins_tells_the_settings_of_each_kind_of_archive(cli: Cli) -> None:
    kinds = {kind["name"]: kind for kind in cli("plugins", "--json", place=False).json["archives"]}
    assert [setting["key"] for setting in kinds["files"]["settings"]][:1] == ["path"]
    assert 'plugin = "files"' in cli("plugins", place=False).out


def test_people_accept_a_wave_and_cut_over_and_each_decision_is_told(cli: Cli, folder: Path) -> None:
    (folder / "old" / "IM3").unlink()
    (folder / "old" / "notes.txt").unlink()
    config = folder / "program.toml"
    people = '[acceptance]\nsign_offs = ["radiologist"]\nequal_passes = 1\n[people.mallory]\nrole = "radiologist"\n'
    config.write_text(f'{config.read_text()}{people}key = "file:keys/mallory.pub"\n')
    private, public = folder / "mallory", folder / "mallory.pub"
    made = cli("sign", "--new-key", str(private), "--json").json
    assert made == {"private": str(private), "public": str(public)}
    assert private.stat().st_mode & 0o077 == 0
    cli("sign", "--new-key", str(private), expect=4)
    public.rename(folder / "keys" / "mallory.pub")
    cli("inventory")
    cli("plan")
    cli("transfer")
    by = ("--by", "mallory")
    key = ("--key", f"file:{private}")
    for usage in (
        ("sign", "pilot"),
        ("sign", *by),
        ("waive", *by, "--reason", "why"),
        ("waive", "--finding", "a", "--withdraw", "b", *by, "--reason", "why"),
        ("waive", "--withdraw", "b", *key, *by, "--reason", "why"),
        ("waive", "--finding", "headers-only", *by, "--reason", "why", "--expires", "soon"),
    ):
        assert cli(*usage, expect=2).out == ""
    assert "Nobody has waived or signed off anything." in cli("waivers").out
    cli("accept", "pilot", expect=1)
    cli("accept", "rest", expect=1)
    signed = cli("sign", "pilot", *by, *key).out
    assert "wave pilot is signed off by mallory, radiologist, as acceptance 1 found it\nwave pilot is ready\n" in signed
    assert cli("sign", "rest", *by, *key, "--meaning", "seen", "--json").json["ready"] is True
    refused = cli("cutover", *by, "--reason", "now", expect=1).out
    assert refused.startswith("Cutover: refused\n  - 1 finding of kind headers-only blocks the program\n")
    given = cli("waive", "--finding", "headers-only", *by, *key, "--reason", "no export", "--json").json["waiver"]
    assert isinstance(given, dict)
    assert f"waived: {given['waiver']}" in cli("findings").out
    told = cli("waivers").out
    assert f"waiver {given['waiver']} by mallory, radiologist: 1 finding of kind headers-only in the program" in told
    assert "  no export\n  holds (signed with a key)\n" in told
    assert "  seen\n  holds (signed with a key)\n" in told
    cli("catch-up")
    assert cli("cutover", *by, "--reason", "now", "--dry-run").out.endswith("not looked at again (--dry-run).\n")
    allowed = cli("cutover", *by, "--reason", "now", "--json").json
    assert (allowed["allowed"], allowed["reasons"]) == (True, [])
    gone = cli("waive", "--withdraw", str(given["waiver"]), *by, "--reason", "it can export after all").out
    assert gone == f"waiver {given['waiver']} is withdrawn, by mallory\n"
    assert "does not count: it was withdrawn" in cli("waivers").out
    status = cli("status", "--json").json
    cutover, waves = status["cutover"], status["waves"]
    assert isinstance(cutover, dict)
    assert isinstance(waves, list)
    assert cutover["reasons"] == ["1 finding of kind headers-only blocks the program"]
    assert {each["standing"] for each in waves[0]["requirements"]} == {"met"}
    study = cli("withdraw", "pilot", "--study", CT.study_uid, *by, "--reason", "wrong").out
    assert study == "pilot: 1 study withdrawn, 1 instance removed\n"
