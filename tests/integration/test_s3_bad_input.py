"""A bucket that is not as the settings say, through the command line and whole programs: named, and nothing is lost."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import stamina
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from peers.s3 import KEYS, Script, Server, give_keys, scripted, seaweed, section, stored
from peers.scripted_web import Reply, Scripted, pass_on
from vna_lifecycle.cli import main
from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ConfigurationError
from vna_lifecycle.program import Program
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

__all__ = ["scripted", "seaweed"]
pytestmark = pytest.mark.peer

STUDIES, PER_STUDY = 6, 3
PROGRAM = """
[program]
name = "Into a bucket"
[archives.old]
plugin = "files"
path = "old"
{cloud}
[migration]
sources = ["{source}"]
target = "{target}"
[execution]
workers = 1
reserve_bytes = 0
"""
OWNER = "111122223333"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    give_keys(monkeypatch, Server(endpoint_url=""))
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


def make(folder: Path, endpoint: str, more: str = KEYS, place: tuple[str, str] = ("images", "p")) -> Path:
    """A program from a folder into a bucket."""
    (folder / "old").mkdir()
    for study in range(1, STUDIES + 1):
        for instance in range(1, PER_STUDY + 1):
            spec = ObjectSpec(study=study, instance=instance, patient_id=f"P{study}")
            (folder / "old" / f"{study}-{instance}.dcm").write_bytes(dicom_bytes(spec))
    text = PROGRAM.format(cloud=section("cloud", endpoint, place, more), source="old", target="cloud")
    (folder / "program.toml").write_text(text)
    Program.init(folder)
    with Program.open(folder) as program:
        program.take_inventory()
        program.plan()
    return folder


def objects(server: Server, place: tuple[str, str]) -> list[str]:
    """SHA-256 of every stored object, from the server itself."""
    return sorted(hashlib.sha256(data).hexdigest() for data in stored(server, place))


def hashes(folder: Path) -> list[str]:
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "old").iterdir())


def states(folder: Path) -> dict[str, int]:
    with Program.open(folder) as program:
        (wave,) = program.status().waves
        return dict(wave.states)


@pytest.mark.parametrize(
    ("more", "says", "words"),
    [
        pytest.param("", [], ["no credentials", "access_key_id"], id="no credentials"),
        pytest.param(KEYS, [(403, "InvalidAccessKeyId", "")], ["does not accept the credentials"], id="unknown key"),
        pytest.param(KEYS, [(403, "AccessDenied", "")], ["s3:ListBucket is denied", "policy"], id="denied"),
        pytest.param(
            KEYS,
            [(400, "AuthorizationHeaderMalformed", "eu-central-1")],
            ["lies in the region eu-central-1", "set region = 'eu-central-1'"],
            id="wrong region",
        ),
        pytest.param(
            KEYS + f'expected_bucket_owner = "{OWNER}"\n',
            [(403, "AccessDenied", ""), (200, "", "")],
            [f"does not belong to the account {OWNER}", "nothing was sent"],
            id="wrong owner",
        ),
        pytest.param(KEYS, [(307, "TemporaryRedirect", "")], ["sent us elsewhere"], id="redirect"),
        pytest.param(KEYS, [(404, "NoSuchBucket", "")], ["is not there", "check its name"], id="no bucket"),
    ],
)
def test_a_bucket_that_cannot_be_had_is_named_before_anything_is_sent(
    scripted: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: str,
    says: list[tuple[int, str, str]],
    words: list[str],
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    folder = make(tmp_path, scripted.endpoint_url, more)
    for status, word, region in says:
        scripted.say(status, word, {"x-amz-bucket-region": region} if region else {}, "")
    before = states(folder)
    assert main(["transfer", "--program", str(folder)]) == ArchiveError.exit_code
    streams = capsys.readouterr()
    for word in words:
        assert word in " ".join(streams.err.split())
    assert "not-much-of-a-secret" not in streams.err + streams.out
    assert "Traceback" not in streams.err
    assert {method for method, _, _ in scripted.seen} <= {"HEAD", "GET"}
    assert states(folder) == before, "the work is still there to be done"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("require_versions = true\n", "has no versioning, which require_versions needs"),
        ('object_lock = "governance"\nobject_lock_days = 1\n', "has no Object Lock"),
        ("legal_hold = true\n", "has no Object Lock"),
    ],
)
def test_a_bucket_that_cannot_keep_what_is_promised_takes_nothing(
    seaweed: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str, words: str
) -> None:
    place = seaweed.place()
    folder = make(tmp_path, seaweed.endpoint_url, KEYS + more, place)
    assert main(["check", "--program", str(folder)]) == ConfigurationError.exit_code
    told = " ".join(capsys.readouterr().out.split())
    assert "migration.target: cloud: the bucket" in told
    assert words in told
    assert "or change the setting" in told
    with Program.open(folder) as program, pytest.raises(ArchiveError, match=words):
        program.transfer("all")
    assert objects(seaweed, place) == []
    text = (folder / "program.toml").read_text()
    (folder / "program.toml").write_text(text.replace(more, ""))
    with Program.open(folder) as program:
        program.transfer("all")
    assert states(folder) == {"transferred": STUDIES}
    assert objects(seaweed, place) == hashes(folder)
    assert main(["check", "--program", str(folder)]) == 0


def test_check_says_that_a_target_holds_the_objects_of_others(
    seaweed: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = seaweed.place()
    folder = make(tmp_path, seaweed.endpoint_url, place=place)
    assert main(["check", "--program", str(folder)]) == 0
    seaweed.client().put_object(Bucket=place[0], Key=f"{place[1]}/minutes.txt", Body=b"x")
    assert main(["check", "--program", str(folder)]) == ConfigurationError.exit_code
    assert "migration.target: cloud: other things are under the prefix" in " ".join(capsys.readouterr().out.split())


def test_a_source_whose_prefix_lacks_its_slash_takes_in_no_neighbour(
    seaweed: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket, prefix = seaweed.place()
    for study, folder in enumerate(("ct", "ct-old"), 1):
        data = dicom_bytes(ObjectSpec(study=study, patient_id=f"P{study}"))
        seaweed.client().put_object(Bucket=bucket, Key=f"{prefix}/{folder}/1.dcm", Body=data)
    cloud = section("cloud", seaweed.endpoint_url, (bucket, f"{prefix}/ct"))
    text = PROGRAM.format(cloud=cloud, source="cloud", target="old")
    (tmp_path / "old").mkdir()
    (tmp_path / "program.toml").write_text(text)
    for verb in ("init", "inventory", "plan"):
        assert main([verb, *([str(tmp_path)] if verb == "init" else ["--program", str(tmp_path)])]) == 0
    assert states(tmp_path) == {"planned": 1}


def test_an_object_over_the_size_limit_is_a_finding_and_the_rest_goes_on(seaweed: Server, tmp_path: Path) -> None:
    place = seaweed.place()
    parts = "multipart_threshold = 5_242_880\npart_size = 5_242_880\nmax_object_size = 6_000_000\n"
    folder = make(tmp_path, seaweed.endpoint_url, KEYS + parts, place)
    padding = b"\xfc\xff\xfc\xff" + b"OB\0\0" + (7 << 20).to_bytes(4, "little")  # Data Set Trailing Padding
    large = folder / "old" / "large.dcm"
    large.write_bytes(dicom_bytes(ObjectSpec(study=1, instance=99, patient_id="P1")) + padding + bytes(7 << 20))
    with Program.open(folder) as program:
        program.take_inventory()
        program.plan()
        program.transfer("all")
        found = {line.kind for line in program.findings() if line.severity == "blocker"}
        assert "not-stored-too-large" in found
    large.unlink()
    assert objects(seaweed, place) == hashes(folder), "all but the large one are there"


class Relay(Scripted):
    """The server behind one that knows session tokens, as AWS does, and lets them end in the middle of the work.

    It lets through requests with the token ``valid``; ``after`` so many objects nothing any more.
    """

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self._config = Config(s3={"payload_signing_enabled": False})
        credentials = Credentials(server.access_key_id, server.secret_access_key)
        self._signer: Any = S3SigV4Auth(credentials, "s3", server.region)
        self._lock = threading.Lock()
        self.endpoint_url = f"http://127.0.0.1:{self.port}"
        self.valid, self.after, self.objects = "first", 10**9, 0

    def reply(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The server's answer, or that the token has expired."""
        given = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            if method == "PUT" and "/objects/" in path:
                self.objects += 1
            if given.get("x-amz-security-token") != self.valid or self.objects > self.after:
                return 400, {}, b"<Error><Code>ExpiredToken</Code><Message>m</Message></Error>"
        own = ("authorization", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256", "host")
        kept = {name: value for name, value in given.items() if name not in own}
        request: Any = AWSRequest(method, f"{self._server.endpoint_url}{path}", kept, body)
        request.context["client_config"] = self._config
        self._signer.add_auth(request)
        host = urlsplit(self._server.endpoint_url).netloc
        status, told, data = pass_on(host, method, path, dict(request.headers.items()), body)
        return status, {name: value for name, value in told.items() if name.lower() != "transfer-encoding"}, data


@pytest.fixture
def relay(seaweed: Server) -> Iterator[Relay]:
    relay = Relay(seaweed)
    yield relay
    relay.close()


def _cli(folder: Path) -> int:
    return main(["transfer", "--program", str(folder)])


def test_a_token_that_ends_in_the_middle_of_a_wave_is_named_and_a_new_one_goes_on(
    seaweed: Server, relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some studies are transferred, one is half done, others are not begun; nothing is lost or sent twice."""
    place = seaweed.place()
    more = KEYS + 'session_token = "env:S3_TOKEN"\nconcurrency = 1\n'
    folder = make(tmp_path, relay.endpoint_url, more, place)
    monkeypatch.setenv("S3_TOKEN", "first")
    relay.after = 3 * PER_STUDY + 1
    assert _cli(folder) == ArchiveRefused.exit_code
    told = capsys.readouterr()
    assert "the credentials for the bucket" in told.err
    assert "have expired" in " ".join(told.err.split())
    assert "renew them where the settings point to, then resume" in " ".join(told.err.split())
    assert "Traceback" not in told.err
    so_far = states(folder)
    assert 0 < so_far.get("transferred", 0) < STUDIES, so_far
    there = objects(seaweed, place)
    assert so_far["transferred"] * PER_STUDY <= len(there) <= relay.after
    assert set(there) <= set(hashes(folder))

    relay.valid, relay.after, relay.objects = "second", 10**9, 0
    assert _cli(folder) == ArchiveRefused.exit_code, "the old one is still set"
    assert "have expired" in " ".join(capsys.readouterr().err.split())
    assert relay.objects == 0
    assert states(folder).get("transferred", 0) == so_far["transferred"]
    monkeypatch.setenv("S3_TOKEN", "second")
    assert _cli(folder) == 0
    assert states(folder) == {"transferred": STUDIES}
    assert objects(seaweed, place) == hashes(folder)
    assert relay.objects <= (STUDIES - so_far["transferred"]) * PER_STUDY, "what was proved is not sent again"
    with Program.open(folder) as program:
        assert [line.kind for line in program.findings() if line.check == "transfer"] == []
