"""What the author of a source, a store or a check works with, besides the interfaces in ``vna_lifecycle.ports``.

The values that an archive gives and a check finds, the scanner that turns a DICOM file's bytes into a record or a
refusal, and the answering of study queries for archives that have no database to ask. The hooks are in
``vna_lifecycle.plugin``, errors in ``vna_lifecycle.errors``, events in ``vna_lifecycle.model.event``.
"""

from vna_lifecycle.adapters.query import StudyTally, matches, summarize
from vna_lifecycle.dicom.scan import scan_bytes, scan_file, scan_stream
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import AETitle, PatientKey, SeriesUID, SOPInstanceUID, StudyRef, StudyUID
from vna_lifecycle.model.inventory import (
    Availability,
    Basis,
    Digest,
    InstanceRecord,
    Manifest,
    ManifestEntry,
    Refused,
    Rung,
    SeriesAttributes,
    StudyRecord,
)
from vna_lifecycle.model.wave import DateRange

__all__ = [
    "AETitle",
    "Availability",
    "Basis",
    "DateRange",
    "Digest",
    "Finding",
    "InstanceRecord",
    "Manifest",
    "ManifestEntry",
    "PatientKey",
    "Refused",
    "Rung",
    "SOPInstanceUID",
    "SeriesAttributes",
    "SeriesUID",
    "Severity",
    "StudyRecord",
    "StudyRef",
    "StudyTally",
    "StudyUID",
    "matches",
    "scan_bytes",
    "scan_file",
    "scan_stream",
    "summarize",
]
