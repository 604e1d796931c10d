"""Archives that speak DIMSE pass the suites: Orthanc by C-MOVE and by C-GET, and dcmtk's archive as a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pytest
from attrs import evolve
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit

from peers.dicom import OURS, Running, folder_for_peer, free_port, run_dcmqrscp, run_orthanc
from vna_lifecycle.adapters.dimse.archive import open_archive
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.dicom.compare import compare_files
from vna_lifecycle.dicom.scan import scan_bytes
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Rung
from vna_lifecycle.ports import Archive, Fetched, Receipt, StoreFailure
from vna_lifecycle.testing.conformance import EXAMPLES, CommitmentSuite, SourceSuite, StoreSuite, site
from vna_lifecycle.testing.conformance.case import read_files, written

pytestmark = pytest.mark.peer


class _OnPeer:
    """One empty peer for each folder."""

    retrieve: Literal["move", "get"] = "move"
    associations = 4
    commitment = False

    @pytest.fixture(autouse=True)
    def _peers(self) -> Iterator[None]:
        self.peers: dict[Path, Running] = {}
        self.opened: list[Archive] = []
        with ExitStack() as self.stack:
            yield
            for archive in self.opened:
                archive.reads.close()

    def run_peer(self, folder: Path) -> Running:
        raise NotImplementedError

    def open_target(self, folder: Path) -> Archive:
        if folder not in self.peers:
            self.peers[folder] = self.run_peer(self.stack.enter_context(folder_for_peer()))
        peer = self.peers[folder]
        settings = DimseSettings(
            host=peer.host,
            port=peer.port,
            ae_title=peer.title,
            calling_ae_title=OURS,
            retrieve=self.retrieve,
            associations=self.associations,
            listen_host="127.0.0.1",
            listen_port=peer.ours,
            settle_seconds=1.0,
            commitment=self.commitment,
        )
        self.opened.append(open_archive(settings, site(folder)))
        return self.opened[-1]

    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        archive = self.open_target(folder)
        assert archive.stores is not None
        for number, data in enumerate(objects):
            path = folder / f"{number}.dcm"
            path.write_bytes(data)
            record: InstanceRecord = scan_bytes(data)
            item = Fetched(record=record, path=path)
            (answer,) = archive.stores.store(StudyRef(study_uid=record.study_uid), [item])
            assert isinstance(answer, Receipt), answer
        return archive


class _OnOrthanc(_OnPeer):
    def run_peer(self, folder: Path) -> Running:
        return self.stack.enter_context(run_orthanc(folder, ours=free_port()))


class _OnDcmqrscp(_OnPeer):
    associations = 1  # its processes overwrite one another's index and files: it loses objects that come in parallel

    def run_peer(self, folder: Path) -> Running:
        return self.stack.enter_context(run_dcmqrscp(folder, ours=free_port(), options=("+B",)))


class TestOrthancAsSourceByMove(_OnOrthanc, SourceSuite):
    holds_conflicts = False
    holds_foreign_files = False


class TestOrthancAsSourceByGet(TestOrthancAsSourceByMove):
    retrieve = "get"


class TestOrthancAsTarget(_OnOrthanc, StoreSuite):
    pass


class TestOrthancCommits(_OnOrthanc, CommitmentSuite):
    commitment = True
    retrieve = "get"


_NOT_TAKEN = (DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit)


class _DcmqrscpAsSource(_OnDcmqrscp, SourceSuite):
    """It takes neither deflated nor JPEG objects, and serves explicit what it was given implicit or big endian."""

    rung = Rung.EQUIVALENT
    examples = tuple(
        evolve(spec, transfer_syntax=ExplicitVRLittleEndian) if spec.transfer_syntax in _NOT_TAKEN else spec
        for spec in EXAMPLES
    )
    holds_conflicts = False
    holds_foreign_files = False

    def test_records_name_what_they_are_of(self, tmp_path: Path) -> None:
        """It does not tell SOP classes: nothing is made up, and C-GET offers the standard's."""
        expected = {spec.sop_instance_uid: (spec.study_uid, spec.series_uid, spec.patient_id) for spec in EXAMPLES}
        with self._source(tmp_path) as archive:
            items = [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]
            records = [item for item in items if isinstance(item, InstanceRecord)]
            told = {one.sop_instance_uid: (one.study_uid, one.series_uid, one.series.patient_id) for one in records}
            assert told == expected
            assert {one.sop_class_uid for one in records} == {""}


@pytest.mark.soak
class TestDcmqrscpAsSourceByMove(_DcmqrscpAsSource):
    pass


class TestDcmqrscpAsSourceByGet(_DcmqrscpAsSource):
    retrieve = "get"


class TestDcmqrscpAsTarget(_OnDcmqrscp, StoreSuite):
    def test_what_is_stored_is_read_back(self, tmp_path: Path) -> None:
        """It agrees to no deflated and no JPEG objects, which fail by name; of the rest, it serves what was given, but
        explicit where it was implicit or big endian."""
        archive = self.open_target(tmp_path)
        assert archive.stores is not None
        refused = _NOT_TAKEN
        for spec in EXAMPLES:
            study = StudyRef(study_uid=spec.study_uid)
            items = written(tmp_path / f"in-{spec.sop_instance_uid}", [spec])
            (answer,) = archive.stores.store(study, items)
            if spec.transfer_syntax in refused:
                assert isinstance(answer, StoreFailure)
                assert (answer.code, answer.transient) == ("not-negotiated", False)
                continue
            assert isinstance(answer, Receipt)
            found = read_files(archive, study, tmp_path / f"out-{spec.sop_instance_uid}")
            (twin,) = (item for item in found if item.record.sop_instance_uid == spec.sop_instance_uid)
            same = Rung.HASHED if spec.transfer_syntax == ExplicitVRLittleEndian else Rung.EQUIVALENT
            assert compare_files(items[0].path, twin.path).rung is same
