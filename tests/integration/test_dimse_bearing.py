"""How many associations a PACS bears: seen by retrievals side by side where it serves anything, and planned by."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from peers.dicom import free_port
from vna_lifecycle.adapters.dimse import measuring
from vna_lifecycle.adapters.dimse.archive import open_archive
from vna_lifecycle.adapters.dimse.measuring import Bearing
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.adapters.habits import known_associations
from vna_lifecycle.cli import main
from vna_lifecycle.program import Program
from vna_lifecycle.program.pace import pace_of
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.misbehaving_pacs import EVERYTHING, Faults, MisbehavingPacs
from vna_lifecycle.testing.misbehaving_pacs.serving import Conversation
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

SPECS = [ObjectSpec(instance=instance, grey=instance) for instance in range(1, 9)]
PAIRS = [ObjectSpec(study=study, instance=instance, grey=instance) for study in range(1, 6) for instance in (1, 2)]
OUT_OF_RESOURCES = 0xA702
RETRIEVALS, QUERIES = "associations, measured with retrievals", "associations, measured with queries"


@frozen
class Choking:
    """A PACS that answers any number of queries at once, but no retrieval any more once two met."""

    pacs: MisbehavingPacs
    met: threading.Event


@pytest.fixture
def choking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Choking]:
    alone, met = threading.Lock(), threading.Event()
    real = Conversation._retrieve

    def retrieve(self: Conversation, retrieval: object) -> None:
        if not alone.acquire(blocking=False):
            met.set()
        else:
            time.sleep(0.1)
            alone.release()
        if met.is_set():
            self._respond(retrieval.message, OUT_OF_RESOURCES)  # type: ignore[attr-defined]
        else:
            real(self, retrieval)  # type: ignore[arg-type]

    monkeypatch.setattr(Conversation, "_retrieve", retrieve)
    with MisbehavingPacs([dicom_bytes(spec) for spec in SPECS], destinations={"US": free_port()}) as pacs:
        yield Choking(pacs, met)


def looked_at(pacs: MisbehavingPacs, folder: Path, **options: object) -> dict[str, tuple[str, str]]:
    """What a look at the PACS tells: values and units by name."""
    settings = DimseSettings(
        host="127.0.0.1",
        port=pacs.port,
        ae_title=pacs.title,
        calling_ae_title="US",
        listen_host="127.0.0.1",
        listen_port=pacs._destinations.get("US", 0),
        settle_seconds=0.2,
        attempts=1,
        **options,  # type: ignore[arg-type]
    )
    archive = open_archive(settings, site(folder))
    assert archive.probes is not None
    seen = {item.name: (item.value, item.unit) for item in archive.probes.probe()}
    archive.reads.close()
    return seen


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_an_archive_is_asked_for_as_many_objects_at_once_as_it_bears_and_not_as_it_answers_queries(
    choking: Choking, tmp_path: Path, retrieve: str
) -> None:
    seen = looked_at(choking.pacs, tmp_path, retrieve=retrieve)
    assert choking.met.is_set()
    assert seen["side-by-side"] == ("1", RETRIEVALS)
    assert seen["associations-refused"] == ("2", "at once")
    assert known_associations(site(tmp_path)) == 1


def test_a_plan_is_made_by_the_retrievals_that_an_archive_bears(choking: Choking, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    config = f"""
[program]
name = "bearing"
[archives.old]
plugin = "dimse"
host = "127.0.0.1"
port = {choking.pacs.port}
ae_title = "{choking.pacs.title}"
retrieve = "get"
attempts = 1
[archives.new]
plugin = "files"
path = "new"
[migration]
sources = ["old"]
target = "new"
[execution]
engine = "processes"
reserve_bytes = 0
"""
    (tmp_path / "program.toml").write_text(config)
    assert main(["init", str(tmp_path)]) == 0
    with Program.open(tmp_path) as program:
        program.take_inventory()
        pace = pace_of(program)
    assert (pace.workers, pace.measured) == (1, True)
    assert "old was seen to bear 1 association side by side" in pace.why


@pytest.mark.parametrize(("limit", "value"), [("_BYTES", 1000), ("_SECONDS", 1e-6)], ids=["too large", "too slow"])
def test_what_would_take_too_much_is_not_retrieved_side_by_side(
    choking: Choking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(measuring, limit, value)
    seen = looked_at(choking.pacs, tmp_path, retrieve="get")
    assert seen["side-by-side"][1] == QUERIES
    assert not choking.met.is_set()
    assert [what.split()[0] for what in choking.pacs.asked].count("C-GET") == 3


@pytest.mark.parametrize("specs", [SPECS, PAIRS], ids=["one-study", "pairs"])
@pytest.mark.parametrize("faults", [Faults(), Faults(no_originator=True, no_counters=True)], ids=["honest", "reticent"])
def test_retrievals_side_by_side_have_a_limit_and_leave_nothing_behind(
    tmp_path: Path, specs: list[ObjectSpec], faults: Faults
) -> None:
    """Also where nobody tells which retrieval an object is of: nothing is taken for what nobody asked for."""
    with MisbehavingPacs([dicom_bytes(spec) for spec in specs], faults, destinations={"US": free_port()}) as pacs:
        seen = looked_at(pacs, tmp_path, retrieve="move", associations=4)
        asked = [what.split()[0] for what in pacs.asked].count("C-MOVE")
    assert seen["side-by-side"][1] == RETRIEVALS
    assert int(seen["side-by-side"][0]) in (1, 2, 4)
    before = 2 + 4
    assert before + measuring._TIMES * 3 <= asked <= before + measuring._TIMES * 2 * (1 + 2 + 4)
    assert not list(tmp_path.rglob("*.dcm"))


def test_an_archive_that_there_was_no_time_to_retrieve_more_from_is_not_taken_for_one_that_bears_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_time(*_: object, **__: object) -> Bearing:
        return Bearing(best=1, cut=True)

    monkeypatch.setattr(measuring, "side_by_side", no_time)  # of retrievals: the other name for it stays as it is
    with MisbehavingPacs([dicom_bytes(spec) for spec in SPECS]) as pacs:
        seen = looked_at(pacs, tmp_path, retrieve="get")
    assert seen["side-by-side"][1] == QUERIES


def test_nothing_is_recalled_to_be_retrieved_side_by_side(tmp_path: Path) -> None:
    with MisbehavingPacs([dicom_bytes(spec) for spec in SPECS], Faults(availability="NEARLINE")) as pacs:
        seen = looked_at(pacs, tmp_path, retrieve="get")
        assert [what.split()[0] for what in pacs.asked].count("C-GET") == 2
    assert seen["side-by-side"][1] == QUERIES


def test_an_archive_with_hardly_any_object_is_asked_side_by_side(tmp_path: Path) -> None:
    with MisbehavingPacs([dicom_bytes(spec) for spec in SPECS[:3]]) as pacs:
        seen = looked_at(pacs, tmp_path, retrieve="get")
    assert seen["side-by-side"][1] == QUERIES


@pytest.mark.parametrize("faults", [Faults(withheld=EVERYTHING), Faults(new_uids=True)], ids=["nothing", "others"])
def test_an_archive_that_hands_out_nothing_is_asked_side_by_side(tmp_path: Path, faults: Faults) -> None:
    with MisbehavingPacs([dicom_bytes(spec) for spec in SPECS], faults) as pacs:
        seen = looked_at(pacs, tmp_path, retrieve="get")
    assert seen["two-retrievals"][0].startswith("an object cannot be retrieved")
    assert seen["side-by-side"][1] == QUERIES
