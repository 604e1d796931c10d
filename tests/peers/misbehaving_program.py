"""Whole programs from or into a PACS that misbehaves: one table of faults, and what each must end as."""

from __future__ import annotations

import hashlib
import io
import json
import ssl
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Literal

from attrs import define, evolve, field, frozen

from peers.dicom import free_port
from vna_lifecycle.cli import main
from vna_lifecycle.testing.misbehaving_pacs import EVERYTHING, Disturbance, Faults, MisbehavingPacs
from vna_lifecycle.testing.misbehaving_pacs.pdu import pdu
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

STUDIES, PER_STUDY = 4, 3
SPECS = tuple(
    ObjectSpec(study=study, instance=instance, patient_id=f"P{study}", grey=instance, study_date=f"2024010{study}")
    for study in range(1, STUDIES + 1)
    for instance in range(1, PER_STUDY + 1)
)
CT = "1.2.840.10008.5.1.4.1.1.2"
BAD = SPECS[PER_STUDY].sop_instance_uid  # the first object of the second study
CONFIG = """
[program]
name = "misbehaving"
[archives.files]
plugin = "files"
path = "files"
[archives.pacs]
plugin = "dimse"
host = "127.0.0.1"
port = {port}
ae_title = "PACS"
calling_ae_title = "US"
retrieve = "{retrieve}"
listen_host = "127.0.0.1"
listen_port = {ours}
settle_seconds = 0.3
connect_timeout = 3.0
answer_timeout = 3.0
stall_timeout = 3.0
attempts = 2
{options}
[migration]
sources = ["{source}"]
target = "{target}"
verify = "hashed"
[execution]
workers = 2
reserve_bytes = 0
"""


@frozen(kw_only=True)
class Case:
    """What a PACS does wrong, as the source or as the target, and what becomes of it.

    ``findings`` count kinds, and ``refused`` codes of what the inventory could not have. The faults are there once the
    studies are planned; with ``all_along`` from the beginning.
    """

    name: str
    faults: Faults
    side: Literal["source", "target"]
    states: Mapping[str, int] = field(factory=lambda: {"transferred": STUDIES})
    findings: Mapping[str, int] = field(factory=dict)
    refused: Mapping[str, int] = field(factory=dict)
    all_along: bool = False
    retrieve: str = "move"
    options: str = ""
    specs: Sequence[ObjectSpec] = SPECS

    @property
    def quick(self) -> bool:
        """Whether every run of the tests has it; the others are of the same classes of faults."""
        return str(self) in QUICK

    def __str__(self) -> str:
        return f"{self.side}-{self.name}"


def lacking(count: int) -> dict[str, int]:
    """The states where so many studies are incomplete."""
    return {"incomplete": count, **({"transferred": STUDIES - count} if count < STUDIES else {})}


def source(name: str, faults: Faults, **more: Any) -> Case:
    return Case(name=name, faults=faults, side="source", **more)


def target(name: str, faults: Faults, **more: Any) -> Case:
    return Case(name=name, faults=faults, side="target", **more)


OVERSIZED = pdu(4, bytes(3 << 20))
MALFORMED = pdu(4, b"\x00\x00\xff\xff\x01\x03" + bytes(16))  # an item that is longer than its PDU
GIGANTIC = pdu(4, b"", length=0xFFFFFFFF) + bytes(64)
ONE_PATIENT = [
    ObjectSpec(study=study, instance=instance, patient_id="P", grey=instance, study_date="")
    for study in range(1, STUDIES + 1)
    for instance in range(1, PER_STUDY + 1)
]

SOURCES = [
    source("honest", Faults()),
    source(
        "capped",  # what has neither a date nor a patient may be hidden still, which is said
        Faults(cap=3),
        all_along=True,
        options="trusted_answers = 2",
        refused={"answers-may-be-cut-short": 1},
    ),
    source(
        "capped-beyond-all-windows",
        Faults(cap=3),
        all_along=True,
        options="trusted_answers = 1",
        specs=ONE_PATIENT,
        states={"transferred": 3},
        refused={"answers-may-be-cut-short": 1},
    ),
    source("withheld", Faults(withheld={BAD}), states=lacking(1), findings={"not-fetched-not-sent": 1}),
    source("withheld-at-study-level", Faults(withheld=EVERYTHING, withheld_at=("STUDY",))),
    source("final-early", Faults(final_early=True)),
    source("no-counters", Faults(no_counters=True, no_originator=True)),
    source("final-early-no-counters", Faults(final_early=True, no_counters=True, no_originator=True)),
    source("warned-of", Faults(retrieve_status=0xB000)),
    source("slow", Faults(late=0.02)),
    source("miscounted", Faults(miscount=1), all_along=True),
    source(
        "poison",
        Faults(poison={BAD}),
        states=lacking(1),
        findings={"not-fetched-not-sent": 1},
    ),
    *(
        source(f"dropped-at-{number}", Faults(disturbance=Disturbance(pdu=number, times=1 if number == 2 else 2)))
        for number in (1, 2, 3, 5, 8)
    ),
    *(
        source(f"objects-dropped-at-{number}", Faults(disturbance=Disturbance(pdu=number, on="objects", times=2)))
        for number in (1, 2, 3, 5)
    ),
    *(
        source(f"{name}-for-an-object", Faults(poison={BAD}, poison_pdu=data), **expected)
        for name, data in (("oversized", OVERSIZED), ("malformed", MALFORMED), ("gigantic", GIGANTIC))
        for expected in [{"states": lacking(1), "findings": {"not-fetched-not-sent": 1}}]
    ),
    *(
        source(f"{name}-object", Faults(disturbance=Disturbance(pdu=2, on="objects", times=2, instead=data)))
        for name, data in (("oversized", OVERSIZED), ("malformed", MALFORMED), ("gigantic", GIGANTIC))
    ),
    source(
        "new-uids",
        Faults(new_uids=True),
        states=lacking(STUDIES),
        findings={"not-fetched-other-uids-served": STUDIES},
    ),
    source(
        "offline", Faults(availability="OFFLINE"), states=lacking(STUDIES), findings={"not-fetched-offline": STUDIES}
    ),
    source("nearline", Faults(availability="NEARLINE")),
    source(
        "unwilling",
        Faults(unwilling={CT}),
        retrieve="get",
        states=lacking(STUDIES),
        findings={"not-fetched-not-sent": STUDIES},
    ),
]
SOURCES += [
    evolve(case, name=f"{case.name}-by-get", retrieve="get")
    for case in SOURCES
    if case.name in ("withheld", "poison", "new-uids", "dropped-at-5", "malformed-for-an-object", "slow")
]
TARGETS = [
    target("honest", Faults()),
    *(
        target(f"warns-{code}", Faults(store_status=int(code, 16)), findings={f"stored-with-warning-{code}": STUDIES})
        for code in ("b000", "b006", "b007")
    ),
    target("loses", Faults(lost={BAD}), states=lacking(1), findings={"missing-at-target": 1}),
    target("loses-all", Faults(lost=EVERYTHING), states=lacking(STUDIES), findings={"missing-at-target": STUDIES}),
    target(
        "coerces",
        Faults(coerced={"PatientName": "Other^Name"}),
        states=lacking(STUDIES),
        findings={"differs-at-target": STUDIES},
    ),
    target(
        "coerces-and-says-so",
        Faults(coerced={"PatientName": "Other^Name"}, store_status=0xB000),
        states=lacking(STUDIES),
        findings={"differs-at-target": STUDIES, "stored-with-warning-b000": STUDIES},
    ),
    target(
        "refuses",
        Faults(lost=EVERYTHING, store_status=0xC000),
        states=lacking(STUDIES),
        findings={"missing-at-target": STUDIES, "not-stored-cannot-understand": STUDIES},
    ),
    target(
        "unwilling",
        Faults(unwilling={CT}),
        states=lacking(STUDIES),
        findings={"missing-at-target": STUDIES, "not-stored-not-negotiated": STUDIES},
    ),
    target("slow", Faults(late=0.02)),
    *(
        target(f"drops-at-{number}", Faults(disturbance=Disturbance(pdu=number, times=2)))
        for number in (1, 3, 4, 8, 13)
    ),
    *(
        target(f"{name}-answer", Faults(disturbance=Disturbance(pdu=4, times=2, instead=data)))
        for name, data in (("oversized", OVERSIZED), ("malformed", MALFORMED), ("gigantic", GIGANTIC))
    ),
]
FAULTS = [*SOURCES, *TARGETS]
QUICK = {
    "source-capped",
    "source-capped-beyond-all-windows",
    "source-withheld",
    "source-final-early-no-counters",
    "source-poison",
    "source-dropped-at-5",
    "source-objects-dropped-at-2",
    "source-malformed-for-an-object",
    "source-gigantic-object",
    "source-new-uids",
    "source-slow-by-get",
    "target-warns-b000",
    "target-loses",
    "target-coerces-and-says-so",
    "target-refuses",
    "target-drops-at-4",
    "target-oversized-answer",
}


@frozen
class Outcome:
    """What a program left: nobody can tell two equal ones apart."""

    states: dict[str, int]
    findings: dict[str, int]
    subjects: frozenset[tuple[str, tuple[str, ...]]]
    refused: dict[str, int]
    objects: dict[str, str]


def command(*verb: str, folder: Path) -> tuple[int, dict[str, Any]]:
    """A verb of the command line, its exit code, and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*verb, "--json", "--program", str(folder)])
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return code, json.loads(out.getvalue())


@define
class Trial:
    """A case in a folder: the PACS runs for as long as the ``with`` statement; with ``tls``, it speaks that."""

    case: Case
    folder: Path
    port: int = field(factory=free_port)
    ours: int = field(factory=free_port)
    tls: ssl.SSLContext | None = None
    pacs: MisbehavingPacs = field(init=False)

    def __enter__(self) -> Trial:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.pacs.close()

    def begin(self) -> None:
        """Start the PACS, in the place of an earlier one, as if nothing had been done yet."""
        if hasattr(self, "pacs"):
            self.pacs.close()
        case = self.case
        objects = [dicom_bytes(spec) for spec in case.specs] if case.side == "source" else []
        self.pacs = MisbehavingPacs(objects, destinations={"US": self.ours}, tls=self.tls)
        self.pacs.port = self.port
        self.pacs.__enter__()
        if self.is_there_from_the_beginning:
            self.pacs.faults = case.faults

    @property
    def is_there_from_the_beginning(self) -> bool:
        return self.case.all_along or bool(self.case.faults.availability)

    def plan(self, *edits: tuple[str, str]) -> None:
        """Make the program, take its inventory, and plan. ``edits`` are made to program.toml."""
        case = self.case
        files = self.folder / "files"
        files.mkdir(parents=True)
        if case.side == "target":
            for number, spec in enumerate(case.specs):
                (files / f"{number}.dcm").write_bytes(dicom_bytes(spec))
        ends = ("pacs", "files") if case.side == "source" else ("files", "pacs")
        config = CONFIG.format(
            port=self.port,
            ours=self.ours,
            retrieve=case.retrieve,
            options=case.options,
            source=ends[0],
            target=ends[1],
        )
        for old, new in edits:
            assert old in config
            config = config.replace(old, new)
        (self.folder / "program.toml").write_text(config)
        assert main(["init", str(self.folder)]) == 0
        for verb in ("inventory", "plan"):
            code, told = command(verb, folder=self.folder)
            assert code == 0, told
        self.pacs.faults = case.faults

    def outcome(self) -> Outcome:
        """What status, findings, acceptance and both archives tell."""
        told = command("findings", folder=self.folder)[1]
        found = [item for item in told["findings"] if item["kind"] != "headers-only"]  # of sources without a database
        (wave,) = command("status", folder=self.folder)[1]["waves"]
        assert wave["imported"] == wave["states"].get("transferred", 0)
        assert not wave["ready"]
        return Outcome(
            states=wave["states"],
            findings=dict(Counter(item["kind"] for item in found)),
            subjects=frozenset((item["kind"], tuple(sorted(item["objects"]))) for item in found),
            refused=dict(Counter(item["code"] for item in told["refused"])),
            objects=self.objects(),
        )

    def objects(self) -> dict[str, str]:
        """What is at the target: the digest of each object by its name or UID."""
        if self.case.side == "target":
            held = self.pacs.holdings.all()
            return {one.uid: hashlib.sha256(one.data).hexdigest() for one in held}
        stored = (self.folder / "files" / "objects").rglob("*.dcm")
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in stored}
