"""Reading the vendor's folder: one ZIP file for each study, an object in each of its members."""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from vna_lifecycle.authoring import (
    InstanceRecord,
    Refused,
    StudyRecord,
    StudyRef,
    StudyUID,
    matches,
    scan_stream,
    summarize,
)
from vna_lifecycle.errors import ArchiveUnreachable, DicomRefused
from vna_lifecycle.ports import Fetched, FetchFailure, Part, Site, Spool, StudyQuery
from vna_lifecycle_acme.settings import AcmeSettings

# What zipfile raises for damaged, encrypted (RuntimeError) and unknown (NotImplementedError) members.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError, ValueError)


class AcmeSource:
    """A folder of ZIP files. A locator is a file's name and a member's number, as members may share a name."""

    def __init__(self, settings: AcmeSettings, site: Site) -> None:
        self._root = settings.path
        self._limit = settings.max_object_bytes
        self._site = site

    def parts(self) -> Iterator[Part]:
        """Each ZIP file is a part."""
        if not self._root.is_dir():
            raise ArchiveUnreachable("the Acme folder is not there", archive=self._site.name, hint="is it mounted?")
        for path in sorted(self._root.glob("*.zip")):
            yield Part(key=path.name)

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Every member of the file: an instance, or the reason why it is none."""
        return self._read(part.key)

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """The studies that answer the query. The vendor has no index, so every header is read."""
        found: dict[StudyUID, list[InstanceRecord]] = {}
        for record in self._instances():
            found.setdefault(record.study_uid, []).append(record)
        for _, records in sorted(found.items()):
            study = summarize(records)
            if matches(query, study):
                yield study

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """The study's instances, wherever they lie."""
        return (record for record in self._instances() if record.study_uid == study.study_uid)

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Unpack each wanted member into the spool."""
        for record in wanted:
            if self._site.cancelled.is_set():
                return
            path = spool.new_file(record.size)
            try:
                name, number = _place_of(record.locator)
                with zipfile.ZipFile(self._root / name) as archive:
                    member = archive.infolist()[number]
                    with archive.open(member) as packed, path.open("wb") as unpacked:
                        shutil.copyfileobj(packed, unpacked)
            except (*UNREADABLE, IndexError) as exc:
                yield FetchFailure(record=record, code="unreadable-member", message=type(exc).__name__)
            else:
                yield Fetched(record=record, path=path)

    def close(self) -> None:
        """Nothing stays open."""

    def _instances(self) -> Iterator[InstanceRecord]:
        for part in self.parts():
            yield from (record for record in self._read(part.key) if isinstance(record, InstanceRecord))

    def _read(self, name: str) -> Iterator[InstanceRecord | Refused]:
        try:
            with zipfile.ZipFile(self._root / name) as archive:
                for number, member in enumerate(archive.infolist()):
                    if not member.is_dir():
                        yield self._scan(archive, member, f"{name}#{number}")
        except (zipfile.BadZipFile, OSError) as exc:
            yield Refused(locator=name, code="bad-zip", reason=f"this is no ZIP file that can be read ({exc})")

    def _scan(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, locator: str) -> InstanceRecord | Refused:
        size = member.file_size
        if size > self._limit:
            reason = "it unpacks to more than max_object_bytes"
            return Refused(locator=locator, code="too-large", reason=reason, size=size)
        try:
            with archive.open(member) as packed, tempfile.TemporaryFile() as unpacked:
                shutil.copyfileobj(packed, unpacked)
                unpacked.seek(0)
                return scan_stream(unpacked, locator=locator)
        except DicomRefused as exc:
            return Refused(locator=locator, code=exc.code, reason=str(exc), offset=exc.offset, size=size)
        except UNREADABLE as exc:
            return Refused(locator=locator, code="unreadable-member", reason=type(exc).__name__, size=size)


def _place_of(locator: str) -> tuple[str, int]:
    """A file's name and a member's number, from exactly what an inventory gave out: no other spelling, no path."""
    name, _, number = locator.rpartition("#")
    if f"{Path(name).name}#{int(number)}" != locator or int(number) < 0:
        raise ValueError("this is no locator of this archive")
    return name, int(number)
