"""A distribution from outside is built, installed, listed, configured and used, with nothing but the public doors."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "vna-lifecycle-acme"

LIST = """
import json, sys
from vna_lifecycle.plugin import load_plugins
plugins = load_plugins()
archive, check = plugins.registry.archives["acme"], plugins.registry.checks["acme-overlays"]
print(json.dumps({
    "versions": dict(plugins.versions),
    "archive": str(archive.provider),
    "check": str(check.provider),
    "adapter_is_loaded": "vna_lifecycle_acme.archive" in sys.modules,
}))
"""

USE = """
import datetime as dt, hashlib, json, sys, threading
from pathlib import Path
from vna_lifecycle.config import load_config, parse_archive_url, resolve_secret
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Refused
from vna_lifecycle.plugin import load_plugins
from vna_lifecycle.ports import Fetched, FetchFailure, Site, StudyQuery

root = Path(sys.argv[1])

class Spool:
    def __init__(self):
        self.count = 0
    def new_file(self, size=None):
        self.count += 1
        return root / f"spooled-{self.count}"

registry = load_plugins().registry
config = load_config(root / "program.toml", registry)
settings = config.archive("old").settings
site = Site(
    name="old", workspace=root, clock=lambda: dt.datetime.now(dt.UTC), cancelled=threading.Event(),
    secret=lambda reference: resolve_secret(reference, root),
)
reads = registry.archives["acme"].open(settings, site).reads
items = [item for part in reads.parts() for item in reads.inventory(part)]
records = [item for item in items if isinstance(item, InstanceRecord)]
studies = list(reads.find_studies(StudyQuery(patient_id="P1")))
study = studies[0].ref()
fetched = list(reads.fetch(study, list(reads.list_instances(study)), Spool()))
(root / "acme" / "1.zip").unlink()
gone = list(reads.fetch(study, [fetched[0].record], Spool()))
plugin, from_url = parse_archive_url(f"acme:{root / 'acme'}", registry)
print(json.dumps({
    "refused": sorted((item.locator, item.code) for item in items if isinstance(item, Refused)),
    "records": len(records),
    "studies": [(found.study_uid, found.instance_count) for found in studies],
    "fetched": sorted(hashlib.sha256(item.path.read_bytes()).hexdigest() for item in fetched),
    "sizes": [item.record.size == item.path.stat().st_size for item in fetched],
    "gone": [item.code for item in gone if isinstance(item, FetchFailure)],
    "url_is_config": from_url == settings and plugin.name == "acme",
}))
"""


@pytest.fixture(scope="session", name="installed")
def installed_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the example was installed as a distribution of its own."""
    root = tmp_path_factory.mktemp("acme")
    shutil.copytree(EXAMPLE, root / "source", ignore=shutil.ignore_patterns("__pycache__", "dist"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    options = ["--no-deps", "--no-build-isolation", "--target", str(root / "site")]
    run = subprocess.run([*pip, *options, str(root / "source")], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return root / "site"


def run_with(installed: Path, *arguments: str) -> dict[str, object]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-W", "error", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, object] = json.loads(run.stdout)
    return found


def test_an_installed_plugin_is_listed_without_loading_its_adapter(installed: Path) -> None:
    found = run_with(installed, "-c", LIST)
    assert found["archive"] == found["check"] == "vna-lifecycle-acme 1.0"
    assert found["adapter_is_loaded"] is False
    assert {"vna-lifecycle", "vna-lifecycle-acme"} <= set(dict(found["versions"]))  # type: ignore[call-overload]  # JSON


def test_the_command_line_lists_it_with_its_settings(installed: Path) -> None:
    found = run_with(installed, "-m", "vna_lifecycle", "plugins", "--json")
    text = json.dumps(found)
    for word in ("vna-lifecycle-acme", "acme-overlays", "max_object_bytes", "keeps a wave from being ready"):
        assert word in text


def test_it_passes_the_suite_that_every_archive_passes(installed: Path, tmp_path: Path) -> None:
    tests = shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tests), str(tests)],
        capture_output=True,
        text=True,
        cwd=tests,
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


def test_an_archive_from_outside_is_configured_inventoried_and_fetched_byte_for_byte(
    installed: Path, tmp_path: Path
) -> None:
    first = [dicom_bytes(ObjectSpec(instance=number)) for number in (1, 2)]
    other = dicom_bytes(ObjectSpec(study=2, patient_id="P2"))
    (tmp_path / "acme").mkdir()
    with zipfile.ZipFile(tmp_path / "acme" / "1.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", b"")
        archive.writestr("readme.txt", b"not an image")
        archive.writestr("image.dcm", first[0])
        with pytest.warns(UserWarning, match="Duplicate name"):  # members may share a name: both count
            archive.writestr("image.dcm", first[1])
    with zipfile.ZipFile(tmp_path / "acme" / "2.zip", "w") as archive:
        archive.writestr("only", other)
    (tmp_path / "acme" / "3.zip").write_bytes(b"PK\x03\x04 torn")
    (tmp_path / "program.toml").write_text(
        '[program]\nname = "Acme"\n[archives.old]\nplugin = "acme"\npath = "acme"\n'
        '[archives.new]\nplugin = "acme"\npath = "new"\n[migration]\nsources = ["old"]\ntarget = "new"\n'
    )

    found = run_with(installed, "-c", USE, str(tmp_path))

    assert found["records"] == 3
    assert [tuple(item) for item in found["refused"]] == [("1.zip#1", "not-dicom"), ("3.zip", "bad-zip")]  # type: ignore[attr-defined]  # JSON
    assert found["studies"] == [[ObjectSpec().study_uid, 2]]
    assert len(set(found["fetched"])) == 2  # type: ignore[call-overload]  # JSON
    assert found["fetched"] == sorted(_sha256(data) for data in first)
    assert found["sizes"] == [True, True]
    assert found["gone"] == ["unreadable-member"]
    assert found["url_is_config"] is True


ACCEPT = """
[program]
name = "Acme"
[archives.old]
plugin = "acme"
path = "acme"
[archives.new]
plugin = "files"
path = "new"
[migration]
sources = ["old"]
target = "new"
[checks.acme-viewer]
max_seconds = 3600
"""


def verb(installed: Path, program: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What a verb of the command line prints with ``--json``."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-W", "error", "-m", "vna_lifecycle", *arguments, "--json", "--program", str(program)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == code, run.stdout + run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_checks_from_outside_take_part_in_a_verdict(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "new").mkdir()
    for number, accession in ((1, "A1"), (2, "A2"), (3, "A1")):
        spec = ObjectSpec(
            study=number, patient_id=f"P{number}", issuer="H", accession_number=accession, patient_name=f"N{number}"
        )
        with zipfile.ZipFile(tmp_path / "acme" / f"{number}.zip", "w") as archive:
            archive.writestr("1.dcm", dicom_bytes(spec))
    (tmp_path / "program.toml").write_text(ACCEPT)
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    subprocess.run([sys.executable, "-m", "vna_lifecycle", "init", str(tmp_path)], env=environment, check=True)
    verb(installed, tmp_path, "inventory")
    verb(installed, tmp_path, "plan")

    [moved] = verb(installed, tmp_path, "transfer", code=1)["waves"]
    assert (moved["transferred"], moved["held_for"]) == (2, [["acme-accession-shared", 1]])
    [told] = verb(installed, tmp_path, "accept", code=1)["waves"]
    assert told["ready"] is False
    assert any("acme-accession-shared" in reason for reason in told["blockers"])

    theirs = {
        check["name"]: check
        for check in told["acceptance"]["checks"]
        if check["provider"].startswith("vna-lifecycle-acme")
    }
    assert {name: (check["scope"], check["studies"], check["required"]) for name, check in theirs.items()} == {
        "acme-accessions": ("wave", 2, True),
        "acme-overlays": ("study", 2, True),
        "acme-viewer": ("sample", 2, True),
    }
    assert {check["provider"] for check in theirs.values()} == {"vna-lifecycle-acme 1.0"}

    # the one that is held back gets a number of its own at the source, and the wave becomes ready
    found = verb(installed, tmp_path, "findings")["findings"]
    [held] = {item["study_uid"] for item in found if item["kind"] == "acme-accession-shared"}
    number = next(number for number in (1, 3) if ObjectSpec(study=number).study_uid == held)
    corrected = ObjectSpec(
        study=number, patient_id=f"P{number}", issuer="H", accession_number="A9", patient_name=f"N{number}"
    )
    with zipfile.ZipFile(tmp_path / "acme" / f"{number}.zip", "w") as archive:
        archive.writestr("1.dcm", dicom_bytes(corrected))
    verb(installed, tmp_path, "inventory")
    verb(installed, tmp_path, "plan")
    [moved] = verb(installed, tmp_path, "transfer")["waves"]
    assert (moved["transferred"], moved["held"]) == (3, 0)
    [told] = verb(installed, tmp_path, "accept")["waves"]
    assert told["ready"] is True


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
