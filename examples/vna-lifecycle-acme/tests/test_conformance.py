"""The suite that every archive passes, run against this one."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from vna_lifecycle_acme import open_acme
from vna_lifecycle_acme.settings import AcmeSettings

from vna_lifecycle.authoring import scan_bytes
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.ports import Archive
from vna_lifecycle.testing.conformance import SourceSuite, site


class TestAcmeAsSource(SourceSuite):
    """The vendor's folder can be read as any archive can."""

    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        """One ZIP file for each study, and one for what is no DICOM object."""
        studies: dict[str, list[bytes]] = {}
        for data in objects:
            try:
                study: str = scan_bytes(data).study_uid
            except DicomRefused:
                study = "foreign"
            studies.setdefault(study, []).append(data)
        (folder / "acme").mkdir()
        for file, members in enumerate(studies.values()):
            with zipfile.ZipFile(folder / "acme" / f"{file}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for number, data in enumerate(members):
                    archive.writestr(f"{number}.dcm", data)
        return open_acme(AcmeSettings(path=folder / "acme"), site(folder, "acme"))
