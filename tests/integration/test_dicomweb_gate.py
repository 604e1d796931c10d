"""An archive behind a gate: who may come in, how often we come, and what a program does when its token runs out."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from peers.dicomweb import WebArchive
from peers.scripted_web import Gate, Reply
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.errors import ArchiveRefused
from vna_lifecycle.plugin import SecretReference
from vna_lifecycle.ports import Archive, Fetched, Receipt
from vna_lifecycle.program import Program
from vna_lifecycle.testing.conformance import FolderSpool, site
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

STUDIES = 6
PROGRAM = """
[program]
name = "behind a gate"
[archives.old]
plugin = "files"
path = "export"
[archives.new]
plugin = "dicomweb"
url = "{url}"
token = "{token}"
[migration]
sources = ["old"]
target = "new"
[execution]
workers = 1
reserve_bytes = 0
"""


@pytest.fixture
def gate(web_archive: WebArchive) -> Iterator[Gate]:
    web_archive.empty()
    gate = Gate(web_archive.url)
    yield gate
    gate.close()


def moved(archive: Archive, folder: Path, specs: list[ObjectSpec]) -> None:
    """Store a study, and read it back."""
    assert archive.stores is not None
    study = study_of(specs[0])
    answers = list(archive.stores.store(study, written(folder / "in", specs)))
    assert all(isinstance(answer, Receipt) for answer in answers)
    listed = list(archive.reads.list_instances(study))
    items = list(archive.reads.fetch(study, listed, FolderSpool(folder / "spool")))
    assert len([item for item in items if isinstance(item, Fetched)]) == len(specs)


@pytest.mark.parametrize("count", [2, 25])
def test_a_study_costs_requests_by_its_series_and_not_by_its_instances(gate: Gate, tmp_path: Path, count: int) -> None:
    """Of two series: one search and one store; then two searches to list it, and one retrieval of each series."""
    specs = [ObjectSpec(series=series, instance=number) for series in (1, 2) for number in range(1, count + 1)]
    archive = open_dicomweb(DicomwebSettings(url=gate.url), site(tmp_path))
    gate.seen.clear()
    moved(archive, tmp_path, specs)
    archive.reads.close()
    kinds = [(method, "search" if "?" in path else "whole") for method, path, _ in gate.seen]
    assert kinds == [("GET", "search"), ("POST", "whole"), *[("GET", "search")] * 2, *[("GET", "whole")] * 2]


def test_connections_are_used_again(gate: Gate, tmp_path: Path) -> None:
    """Six studies one after the other need no more connections than one of them."""
    archive = open_dicomweb(DicomwebSettings(url=gate.url, connections=2), site(tmp_path))
    for study in range(1, STUDIES + 1):
        moved(archive, tmp_path / str(study), [ObjectSpec(study=study), ObjectSpec(study=study, instance=2)])
    archive.reads.close()
    assert gate.connections <= 3  # one for each that fetches, and one for whoever lists meanwhile


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"token": SecretReference("a-token")}, "Bearer a-token"),
        (
            {"user": SecretReference("us\u00e9r"), "password": SecretReference("p:w\u00f6rd")},
            "Basic " + base64.b64encode("us\u00e9r:p:w\u00f6rd".encode()).decode(),
        ),
    ],
    ids=["bearer", "basic"],
)
def test_every_request_shows_who_we_are(
    gate: Gate, tmp_path: Path, settings: dict[str, SecretReference], header: str
) -> None:
    """RFC 6750, and RFC 7617 in UTF-8."""
    gate.welcome = {header}
    archive = open_dicomweb(DicomwebSettings(url=gate.url, **settings), site(tmp_path))  # type: ignore[arg-type]
    moved(archive, tmp_path, [ObjectSpec(), ObjectSpec(instance=2)])
    archive.reads.close()
    assert {headers["Authorization"] for _, _, headers in gate.seen} == {header}
    gate.welcome = {"Bearer another"}
    with pytest.raises(ArchiveRefused, match="does not accept our credentials"):
        open_dicomweb(DicomwebSettings(url=gate.url, **settings), site(tmp_path))  # type: ignore[arg-type]


def test_requests_that_are_refused_together_all_take_the_renewed_token(
    gate: Gate, web_archive: WebArchive, tmp_path: Path
) -> None:
    """Two retrievals are under way when the token runs out; whichever renews it first, the other one uses it too."""
    specs = [ObjectSpec(series=series) for series in (1, 2)]
    web_archive.fill(dicom_bytes(spec) for spec in specs)
    token = tmp_path / "token"
    token.write_text("old")
    ours = evolve(site(tmp_path), secret=lambda reference: token.read_text())
    archive = open_dicomweb(DicomwebSettings(url=gate.url, token=SecretReference("file:token")), ours)
    listed = list(archive.reads.list_instances(study_of(specs[0])))
    both = threading.Barrier(2)

    def before(method: str, path: str) -> Reply | None:
        if both.n_waiting == 0 and token.read_text() == "new":
            return None
        if both.wait(10) == 0:
            token.write_text("new")
        both.wait(10)
        return 401, {}, b""

    gate.before = before
    items = list(archive.reads.fetch(study_of(specs[0]), listed, FolderSpool(tmp_path / "spool")))
    archive.reads.close()
    assert [type(item) for item in items] == [Fetched, Fetched]


def planned(folder: Path, gate: Gate, token: str) -> Path:
    (folder / "export").mkdir(parents=True)
    for study in range(1, STUDIES + 1):
        data = dicom_bytes(ObjectSpec(study=study, patient_id=f"P{study}"))
        (folder / "export" / f"{study}.dcm").write_bytes(data)
    (folder / "program.toml").write_text(PROGRAM.format(url=gate.url, token=token))
    Program.init(folder)
    with Program.open(folder) as program:
        program.take_inventory()
        program.plan()
    return folder


def expire_at_the_third_store(gate: Gate, renewed: Path | None = None) -> None:
    """From then on only the new token is welcome; ``renewed`` is a file where somebody puts it at the same moment."""
    stores = []

    def before(method: str, path: str) -> Reply | None:
        stores.append(method) if method == "POST" else None
        if len(stores) < 3 or gate.welcome == {"Bearer new"}:
            return None
        gate.welcome = {"Bearer new"}
        if renewed is not None:
            renewed.write_text("new")
        return 401, {}, b""

    gate.before = before


def states(program: Program) -> dict[str, int]:
    (wave,) = program.status().waves
    return dict(wave.states)


def test_a_token_that_runs_out_in_the_middle_of_a_wave_stops_it_and_a_new_one_resumes_it(
    gate: Gate, web_archive: WebArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.welcome = {"Bearer old"}
    monkeypatch.setenv("WEB_TOKEN", "old")
    folder = planned(tmp_path / "program", gate, "env:WEB_TOKEN")
    expire_at_the_third_store(gate)
    with Program.open(folder) as program:
        with pytest.raises(ArchiveRefused, match="does not accept our credentials, or no longer") as caught:
            program.transfer("all")
        assert "renew the token" in caught.value.hint
        assert 0 < states(program)["transferred"] < STUDIES
    monkeypatch.setenv("WEB_TOKEN", "new")
    with Program.open(folder) as program:
        program.transfer("all")
        assert states(program) == {"transferred": STUDIES}
    assert len(web_archive.hashes()) == STUDIES
    assert set(web_archive.received().values()) == {1}


def test_a_token_that_is_renewed_in_its_file_stops_nothing(gate: Gate, web_archive: WebArchive, tmp_path: Path) -> None:
    gate.welcome = {"Bearer old"}
    token = tmp_path / "token"
    token.write_text("old")
    folder = planned(tmp_path / "program", gate, f"file:{token}")
    expire_at_the_third_store(gate, token)
    with Program.open(folder) as program:
        program.transfer("all")
        assert states(program) == {"transferred": STUDIES}
    assert set(web_archive.received().values()) == {1}
