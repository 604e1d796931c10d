"""Storing canaries once, and telling what the archive made of each: the only probe that writes, where it may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.canary_objects import PATIENT_ID, Canary, canaries, study_uid
from vna_lifecycle.adapters.dimse.measuring import Aside
from vna_lifecycle.adapters.dimse.reading import Reader
from vna_lifecycle.adapters.dimse.storing import Store
from vna_lifecycle.dicom.compare import compare_files
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import Rung
from vna_lifecycle.ports import Fetched, FetchFailure, Observation, StoreFailure


def observe_canaries(caller: Caller, reader: Reader, store: Store) -> Iterator[Observation]:
    """Store what is not there yet, read all of it back, and compare.

    Raises:
        ArchiveError: the archive fails as a whole.
    """
    archive = f"{caller.settings.host}:{caller.settings.port}/{caller.settings.ae_title}"
    study = StudyRef(study_uid=StudyUID(study_uid(archive)))
    with TemporaryDirectory(dir=caller.site.workspace) as name:
        folder = Path(name)
        sent: dict[str, tuple[Canary, Path]] = {}
        for number, canary in enumerate(canaries(archive)):
            path = folder / f"canary-{number}.dcm"
            path.write_bytes(canary.file())
            sent[canary.sop_instance_uid] = (canary, path)
        there = {record.sop_instance_uid for record in reader.list_instances(study)}
        new = [
            Fetched(record=scan_file(path, locator=""), path=path)
            for uid, (_, path) in sent.items()
            if uid not in there
        ]
        for answer in store.store(study, new):
            if isinstance(answer, StoreFailure):
                canary, _ = sent.pop(answer.sop_instance_uid)
                yield Observation(name="canary", value=f"{canary.peculiarity}: not taken ({answer.code})")
        records = [record for record in reader.list_instances(study) if record.sop_instance_uid in sent]
        told: dict[str, str] = {}
        for item in reader.fetch(study, records, Aside(folder)):
            told[item.record.sop_instance_uid] = _told(item, sent[item.record.sop_instance_uid][1])
        for uid, (canary, _) in sent.items():
            yield Observation(name="canary", value=f"{canary.peculiarity}: {told.get(uid, 'not listed any more')}")
    if records:
        stay = f"{len(records)} synthetic objects, of the patient {PATIENT_ID}: no program may remove them over DIMSE"
        yield Observation(name="canaries-there", value=stay)


def _told(item: Fetched | FetchFailure, path: Path) -> str:
    if isinstance(item, FetchFailure):
        return f"not served ({item.code})"
    try:
        found = compare_files(path, item.path)
    except DicomRefused as refusal:
        return f"served as what cannot be read ({refusal.code})"
    if found.rung is Rung.HASHED:
        return "served with the same bytes"
    served = scan_file(item.path, locator="").transfer_syntax
    if found.rung is Rung.EQUIVALENT:
        what = ", ".join(each.value for each in found.encoding)
        return f"re-encoded ({what}), alike in header and pixels, as {served}"
    changed = ", ".join(found.attributes) or found.reason or "the pixels"
    return f"changed: {changed}"
