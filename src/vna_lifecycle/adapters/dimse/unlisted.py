"""What an archive sent by itself, and does not list: nobody will ever ask for it, so it is told of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vna_lifecycle.adapters.dimse.arrivals import Arrivals
from vna_lifecycle.adapters.dimse.listing import Lister
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.inventory import InstanceRecord, Refused

_REASON: Final = "the archive sent this object and does not list it, so that no inventory has it"


class Unlisted:
    """Holds the arrivals of one archive against what it lists now."""

    def __init__(self, arrivals: Arrivals, lister: Lister) -> None:
        self._arrivals = arrivals
        self._lister = lister

    @property
    def any(self) -> bool:
        """Whether anything arrived that was not moved yet."""
        return bool(self._arrivals.all())

    def refused(self) -> Iterator[Refused]:
        """The arrivals that are not listed, or cannot be read; each stays where it is.

        Raises:
            ArchiveError: the archive does not say what it lists.
        """
        by_study: dict[str, list[tuple[Path, InstanceRecord]]] = {}
        for path in self._arrivals.all():
            try:
                record = scan_file(path)
            except FileNotFoundError:  # moved meanwhile
                continue
            except DicomRefused as refusal:
                yield Refused(locator=str(path), code=refusal.code, reason=str(refusal), size=path.stat().st_size)
                continue
            by_study.setdefault(record.series.study_uid, []).append((path, record))
        for study_uid, sent in sorted(by_study.items()):
            listed = {record.sop_instance_uid for record in self._lister.instances(study_uid)}
            for path, record in sent:
                if record.sop_instance_uid not in listed:
                    yield Refused(locator=str(path), code="sent-but-not-listed", reason=_REASON, size=record.size)
