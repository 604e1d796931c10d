"""Nobody learns a credential from what a failing program leaves: logs at the lowest level, output, errors, its folder.

Every archive that takes credentials is given canaries that its peer refuses, or refuses after a while.
"""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peers.dicomweb import WebArchive
from peers.healthimaging import Place, make_place
from peers.s3 import Server
from peers.scripted_web import Gate, Reply
from vna_lifecycle.cli import main
from vna_lifecycle.errors import VnaLifecycleError
from vna_lifecycle.program import Program
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

__all__ = ["make_place"]

pytestmark = pytest.mark.peer

USER, PASSWORD, TOKEN = "canary-user-61f0", "canary-password-d81c", "canary-token-9a37"
KEY, SECRET, SESSION = "AKIACANARY5B27", "canary-secret-key-44e9", "canary-session-token-c0de"
PAIR = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
CANARIES = (PASSWORD, TOKEN, SECRET, SESSION, PAIR)
"""What nobody may learn. A user name and an access key ID are no secrets."""
SPECS = [ObjectSpec(study=number, patient_id=f"P{number}") for number in (1, 2, 3)]
UIDS = tuple(spec.study_uid for spec in SPECS)

COMMON = """
[program]
name = "canaries"
[archives.old]
plugin = "files"
path = "export"
[migration]
sources = ["old"]
target = "new"
verify = "equivalent"
[execution]
workers = 1
reserve_bytes = 0
"""
BEARER = """
[archives.new]
plugin = "dicomweb"
url = "{url}"
token = "env:CANARY_TOKEN"
"""
BASIC = """
[archives.new]
plugin = "dicomweb"
url = "{url}"
user = "env:CANARY_USER"
password = "env:CANARY_PASSWORD"
"""
KEYS = """
access_key_id = "env:CANARY_KEY"
secret_access_key = "env:CANARY_SECRET"
"""
BUCKET = """
[archives.new]
plugin = "s3"
bucket = "{bucket}"
prefix = "{prefix}"
endpoint_url = "{endpoint}"
"""
IMAGING = """
[archives.new]
plugin = "healthimaging"
datastore_id = "{store}"
data_access_role_arn = "arn:aws:iam::123456789012:role/import"
staging = "s3://{bucket}/{root}stage/"
results = "s3://{bucket}/{root}results/"
region = "us-east-1"
endpoint_url = "{endpoint}"
s3_endpoint_url = "{s3}"
"""


class Kept(logging.Handler):
    """Everything that anybody logs, with what it was given."""

    def __init__(self) -> None:
        super().__init__(0)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        told = [record.name, record.getMessage(), repr(record.args)]
        if record.exc_info:
            told.append(logging.Formatter().formatException(record.exc_info))
        self.lines.append(" ".join(told))


@pytest.fixture
def kept() -> Iterator[Kept]:
    root, handler = logging.getLogger(), Kept()
    level = root.level
    root.addHandler(handler)
    root.setLevel(1)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in [("USER", USER), ("PASSWORD", PASSWORD), ("TOKEN", TOKEN), ("KEY", KEY), ("SECRET", SECRET)]:
        monkeypatch.setenv(f"CANARY_{name}", value)
    monkeypatch.setenv("CANARY_SESSION", SESSION)


def run(folder: Path, archive: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Make a program, and go through what people do with one that fails; the exit code of its transfer, and all text.

    The transfer is also run as a library, for its traceback.
    """
    (folder / "export").mkdir()
    for number, spec in enumerate(SPECS):
        (folder / "export" / f"{number}.dcm").write_bytes(dicom_bytes(spec))
    (folder / "program.toml").write_text(COMMON + archive)
    Program.init(folder)
    where = ["--program", str(folder)]
    codes = {verb: main([verb, *where]) for verb in ("check", "inventory", "plan", "transfer", "status", "report")}
    told = []
    try:
        with Program.open(folder) as program:
            program.transfer("all")
    except VnaLifecycleError as error:
        told += [repr(error), repr(vars(error)), *traceback.format_exception(error)]
    out, err = capsys.readouterr()
    return codes["transfer"], "\n".join([out, err, *told])


def nothing_leaks(folder: Path, kept: Kept, text: str) -> None:
    logged = "\n".join(kept.lines)
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert len(files) > 5
    for canary in CANARIES:
        assert canary not in text
        assert canary not in logged, next(line for line in kept.lines if canary in line)[:300]
        assert [path for path, data in files.items() if canary.encode() in data] == []
    for uid in UIDS:
        assert uid not in logged, next(line for line in kept.lines if uid in line)[:300]


def after_one_store(gate: Gate) -> None:
    """Nobody is welcome any more."""

    def before(method: str, path: str) -> Reply | None:
        if method == "POST":
            gate.welcome = {"Bearer of another"}
        return None

    gate.before = before


@pytest.mark.parametrize("archive", [BEARER, BASIC], ids=["bearer", "basic"])
def test_no_credential_of_a_dicomweb_archive_is_left_anywhere(
    web_archive: WebArchive, kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str], archive: str
) -> None:
    """They are taken at first, and refused in the middle of the wave."""
    web_archive.empty()
    gate = Gate(web_archive.url, welcome={f"Bearer {TOKEN}", f"Basic {PAIR}"})
    after_one_store(gate)
    try:
        code, text = run(tmp_path, archive.format(url=gate.url), capsys)
    finally:
        gate.close()
    assert code != 0
    assert len(web_archive.hashes()) == 1
    nothing_leaks(tmp_path, kept, text)


def test_no_credential_of_a_bucket_is_left_anywhere(
    seaweed: Server, kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket, prefix = seaweed.place()
    archive = BUCKET.format(bucket=bucket, prefix=prefix, endpoint=seaweed.endpoint_url) + KEYS
    code, text = run(tmp_path, archive + 'session_token = "env:CANARY_SESSION"\n', capsys)
    assert code != 0
    nothing_leaks(tmp_path, kept, text)


def test_no_key_and_no_uid_is_left_by_a_bucket_that_takes_everything(
    seaweed: Server, kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifests name every object, and botocore would log them."""
    monkeypatch.setenv("CANARY_KEY", seaweed.access_key_id)
    monkeypatch.setenv("CANARY_SECRET", seaweed.secret_access_key)
    bucket, prefix = seaweed.place()
    archive = BUCKET.format(bucket=bucket, prefix=prefix, endpoint=seaweed.endpoint_url) + KEYS
    code, text = run(tmp_path, archive, capsys)
    assert code == 0, text
    assert seaweed.secret_access_key not in text + "\n".join(kept.lines)
    nothing_leaks(tmp_path, kept, text)


def test_no_credential_of_healthimaging_is_left_anywhere(
    make_place: Callable[..., Place],
    seaweed: Server,
    kept: Kept,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = make_place(wall=True)
    archive = IMAGING.format(
        store=place.store.id,
        bucket=place.bucket,
        root=place.root,
        endpoint=place.fake.endpoint_url,
        s3=seaweed.endpoint_url,
    )
    kept.lines.clear()  # of the place's own making
    code, text = run(tmp_path, archive + KEYS + 'session_token = "env:CANARY_SESSION"\n', capsys)
    assert code != 0
    nothing_leaks(tmp_path, kept, text)
