"""Of what a reader is served in another encoding, the check says in what: by manifests, or by the source's object."""

from __future__ import annotations

from pathlib import Path

import pytest

from vna_lifecycle.checks.fidelity import Fidelity
from vna_lifecycle.checks.settings import FidelitySettings
from vna_lifecycle.dicom.compare import entry_of
from vna_lifecycle.dicom.digest import examine_file
from vna_lifecycle.model.finding import Finding
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.ports import Fetched, Retrieved, StudyCase
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

SPEC = ObjectSpec()
STUDY = StudyRef(study_uid=SPEC.study_uid)
PADDED = dicom_bytes(SPEC) + bytes(2)


def served(folder: Path, *, encoding: bool, original: bytes = b"") -> Finding:
    """What the check says of an object that a reader is served with zeros after it."""
    moved, view, source = (folder / name for name in ("moved.dcm", "view.dcm", "source.dcm"))
    moved.write_bytes(dicom_bytes(SPEC))
    view.write_bytes(PADDED)
    source.write_bytes(original)
    examined = examine_file(moved)
    manifest = Manifest(study_uid=STUDY.study_uid, entries=[entry_of(moved, examined, encoding=encoding)])
    record = examined.record
    case = StudyCase(
        study=STUDY,
        records=(record,),
        source=manifest,
        expected=manifest,
        target=manifest,
        originals=(Fetched(record=record, path=source),) if original else (),
        retrieved=(
            Retrieved(
                reader="ward", listed=None, objects=(Fetched(record=record, path=view),), failures=(), seconds=0.0
            ),
        ),
    )
    [found] = [each for each in Fidelity(FidelitySettings()).examine(case) if each.kind == "served-re-encoded"]
    return found


@pytest.mark.parametrize(
    ("encoding", "original", "told"),
    [
        (True, b"", "trailing-padding"),
        (False, dicom_bytes(SPEC), "trailing-padding"),
        (False, b"", "not known"),
        (False, PADDED + bytes(2), "not known"),
        (False, b"cut", "not known"),
    ],
    ids=["by-manifest", "by-original", "neither", "original-changed", "original-unreadable"],
)
def test_the_classes_of_difference_are_told(tmp_path: Path, encoding: bool, original: bytes, told: str) -> None:
    found = served(tmp_path, encoding=encoding, original=original)
    counted = told if told == "not known" else f"{told} (1)"
    assert found.message.endswith(f"was served 1 object of this study in another encoding; what differs: {counted}")
    assert found.subjects == (SPEC.sop_instance_uid,)
    assert found.details == (("reader", "ward"), (SPEC.sop_instance_uid, told))
