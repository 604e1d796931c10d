"""A bucket that is not as the settings say, through the command line and whole programs: named, and nothing is lost."""

from __future__ import annotations

import hashlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import stamina
from attrs import define, field
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from peers.s3 import Script, Server, scripted, seaweed
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
[archives.cloud]
plugin = "s3"
bucket = "{bucket}"
prefix = "{prefix}"
endpoint_url = "{endpoint}"
{more}
[migration]
sources = ["{source}"]
target = "{target}"
[execution]
workers = 1
reserve_bytes = 0
"""
KEYS = 'access_key_id = "env:S3_KEY"\nsecret_access_key = "env:S3_SECRET"\n'
OWNER = "111122223333"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("S3_KEY", "AKIDEXAMPLE")
    monkeypatch.setenv("S3_SECRET", "not-much-of-a-secret")
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


def make(folder: Path, endpoint: str, more: str = KEYS, *, bucket: str = "images", prefix: str = "p") -> Path:
    """A program from a folder into a bucket."""
    (folder / "old").mkdir()
    for study in range(1, STUDIES + 1):
        for instance in range(1, PER_STUDY + 1):
            spec = ObjectSpec(study=study, instance=instance, patient_id=f"P{study}")
            (folder / "old" / f"{study}-{instance}.dcm").write_bytes(dicom_bytes(spec))
    text = PROGRAM.format(bucket=bucket, prefix=prefix, endpoint=endpoint, more=more, source="old", target="cloud")
    (folder / "program.toml").write_text(text)
    Program.init(folder)
    with Program.open(folder) as program:
        program.take_inventory()
        program.plan()
    return folder


def objects(server: Server, place: tuple[str, str]) -> list[str]:
    """SHA-256 of every stored object, from the server itself."""
    client = server.client()
    found = client.list_objects_v2(Bucket=place[0], Prefix=f"{place[1]}/objects/").get("Contents", ())
    bodies = (client.get_object(Bucket=place[0], Key=item["Key"])["Body"].read() for item in found)
    return sorted(hashlib.sha256(body).hexdigest() for body in bodies)


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
    folder = make(tmp_path, seaweed.endpoint_url, KEYS + more, bucket=place[0], prefix=place[1])
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
    folder = make(tmp_path, seaweed.endpoint_url, bucket=place[0], prefix=place[1])
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
    text = PROGRAM.format(
        bucket=bucket,
        prefix=f"{prefix}/ct",
        endpoint=seaweed.endpoint_url,
        more=KEYS,
        source="cloud",
        target="old",
    )
    (tmp_path / "old").mkdir()
    (tmp_path / "program.toml").write_text(text)
    for verb in ("init", "inventory", "plan"):
        assert main([verb, *([str(tmp_path)] if verb == "init" else ["--program", str(tmp_path)])]) == 0
    assert states(tmp_path) == {"planned": 1}


def test_an_object_over_the_size_limit_is_a_finding_and_the_rest_goes_on(seaweed: Server, tmp_path: Path) -> None:
    place = seaweed.place()
    parts = "multipart_threshold = 5_242_880\npart_size = 5_242_880\nmax_object_size = 6_000_000\n"
    folder = make(tmp_path, seaweed.endpoint_url, KEYS + parts, bucket=place[0], prefix=place[1])
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


@define
class Token:
    """What the relay lets through: requests with the token ``valid``; ``after`` so many objects nothing any more."""

    endpoint_url: str = ""
    valid: str = "first"
    after: int = 10**9
    objects: int = 0
    seen: list[str] = field(factory=list)


@pytest.fixture
def relay(seaweed: Server) -> Iterator[Token]:
    """The server behind one that knows session tokens, as AWS does, and lets them end in the middle of the work."""
    token = Token()
    there = urlsplit(seaweed.endpoint_url)
    config = Config(s3={"payload_signing_enabled": False})
    signer: Any = S3SigV4Auth(Credentials(seaweed.access_key_id, seaweed.secret_access_key), "s3", seaweed.region)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            given = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                if self.command == "PUT" and "/objects/" in self.path:
                    token.objects += 1
                if given.get("x-amz-security-token") != token.valid or token.objects > token.after:
                    self._say(400, {}, b"<Error><Code>ExpiredToken</Code><Message>m</Message></Error>")
                    return
            own = ("authorization", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256", "host")
            headers = {name: value for name, value in given.items() if name not in own}
            request: Any = AWSRequest(self.command, f"{seaweed.endpoint_url}{self.path}", headers, body)
            request.context["client_config"] = config
            signer.add_auth(request)
            line = http.client.HTTPConnection(str(there.hostname), there.port or 80)
            line.request(self.command, self.path, body, dict(request.headers.items()))
            answer = line.getresponse()
            data = answer.read()
            kept = {name: value for name, value in answer.getheaders() if name.lower() != "transfer-encoding"}
            self._say(answer.status, kept, data)
            line.close()

        def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            length = headers.get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
            for name, value in {**headers, "Content-Length": length}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815 - their names there

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    token.endpoint_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield token
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _cli(folder: Path) -> int:
    return main(["transfer", "--program", str(folder)])


def test_a_token_that_ends_in_the_middle_of_a_wave_is_named_and_a_new_one_goes_on(
    seaweed: Server, relay: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some studies are transferred, one is half done, others are not begun; nothing is lost or sent twice."""
    place = seaweed.place()
    more = KEYS + 'session_token = "env:S3_TOKEN"\nconcurrency = 1\n'
    folder = make(tmp_path, relay.endpoint_url, more, bucket=place[0], prefix=place[1])
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
