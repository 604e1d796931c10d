"""A program between a folder and a fake of HealthImaging: its program.toml, and the verbs that tests call."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit

from peers.healthimaging import ROLE, Place
from peers.s3 import Server
from vna_lifecycle.cli import main
from vna_lifecycle.program import Program
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

SYNTAXES = (JPEGBaseline8Bit, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
SPECS = [
    ObjectSpec(
        study=study,
        instance=number,
        patient_id=f"P{study}",
        issuer="H",
        study_description="CT",
        transfer_syntax=syntax,
        grey=10 * study + number,
    )
    for study, syntax in enumerate(SYNTAXES, 1)
    for number in (1, 2, 3)
]
"""Three studies: of the lossy first, the service keeps the codestreams; the others it transcodes without loss."""

UIDS = sorted(spec.sop_instance_uid for spec in SPECS)

_KILLED = Path(__file__).parents[1] / "integration" / "killed_program.py"
_PROGRAM = """
[program]
name = "HealthImaging"
[archives.folder]
plugin = "files"
path = "folder"
[archives.aws]
plugin = "healthimaging"
datastore_id = "{store}"
data_access_role_arn = "{role}"
staging = "s3://{bucket}/{root}stage/"
results = "s3://{bucket}/{root}results/"
region = "us-east-1"
endpoint_url = "{endpoint}"
s3_endpoint_url = "{s3}"
access_key_id = "env:HI_KEY"
secret_access_key = "env:HI_SECRET"
job_starts_per_second = 50.0
changes_per_second = 50.0
poll_seconds = 0.1
results_patience = 20.0
{settings}
[migration]
sources = ["{source}"]
target = "{target}"
verify = "equivalent"
[[waves]]
name = "all"
[execution]
reserve_bytes = 0
workers = 2
[acceptance]
max_defect_rate = 0.2
confidence = 0.8
"""


def make_program(
    place: Place,
    server: Server,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    specs: Iterable[ObjectSpec] = (),
    *,
    into: bool = True,
    settings: str = "",
) -> Path:
    """A program into the place's data store (or out of it), with its source inventoried and one wave planned.

    ``specs`` are the folder's objects; ``settings`` are further lines of the data store's table.
    """
    monkeypatch.setenv("HI_KEY", place.fake.keys.access_key_id)
    monkeypatch.setenv("HI_SECRET", place.fake.keys.secret_access_key)
    (folder / "folder").mkdir()
    for number, spec in enumerate(specs):
        (folder / "folder" / f"{number}.dcm").write_bytes(dicom_bytes(spec))
    source, target = ("folder", "aws") if into else ("aws", "folder")
    text = _PROGRAM.format(
        store=place.store.id,
        role=ROLE,
        bucket=place.bucket,
        root=place.root,
        endpoint=place.fake.endpoint_url,
        s3=server.endpoint_url,
        settings=settings,
        source=source,
        target=target,
    )
    (folder / "program.toml").write_text(text)
    Program.init(folder)
    with Program.open(folder) as program:
        program.take_inventory()
        program.plan()
    return folder


def command(folder: Path, *verb: str, point: str = "-", nth: int = 1, when: str = "after") -> int:
    """A verb in a process of its own, which is killed at a named point; its exit code."""
    arguments = [sys.executable, str(_KILLED), str(folder.with_name("links.log")), point, str(nth), when]
    done = subprocess.run(
        [*arguments, *verb, "--program", str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in (0, 1, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode


def said(capsys: pytest.CaptureFixture[str], *verb: str) -> tuple[int, Any]:
    """A verb's exit code, and what it prints as JSON."""
    capsys.readouterr()
    code = main([*verb, "--json"])
    return code, json.loads(capsys.readouterr().out)


def held(place: Place) -> dict[bool, list[str]]:
    """What the data store holds, by whether its image set is primary; what was imported twice is there twice."""
    place.fake.service.advance()  # what is being deleted without delay is gone
    found: dict[bool, list[str]] = {True: [], False: []}
    for image_set in place.store.present():
        found[image_set.latest.primary] += image_set.latest.instances
    return {primary: sorted(uids) for primary, uids in found.items()}


def on_record(folder: Path, *kinds: type[Any]) -> list[Any]:
    """The events of these kinds on a program's record, in order."""
    with Program.open(folder) as program:
        events = [each.event for each in program.ledger.read(0, program.ledger.size())]
    return [event for event in events if isinstance(event, kinds)]


def came_out(folder: Path) -> list[Path]:
    """The objects in a program's folder, as files."""
    paths = (folder / "folder").rglob("*")
    return [path for path in paths if path.is_file() and path.read_bytes()[128:132] == b"DICM"]
