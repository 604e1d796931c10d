"""Who and what an image belongs to, in the words of DICOM PS3.3.

Values are kept exactly as found: a hostile or illegal UID is still that object's UID, so nothing here repairs.
"""

from __future__ import annotations

from typing import NewType

from attrs import frozen

StudyUID = NewType("StudyUID", str)
"""Study Instance UID (0020,000D)."""

SeriesUID = NewType("SeriesUID", str)
"""Series Instance UID (0020,000E)."""

SOPInstanceUID = NewType("SOPInstanceUID", str)
"""SOP Instance UID (0008,0018)."""

AETitle = NewType("AETitle", str)
"""Application Entity title: 1 to 16 characters (PS3.5, VR AE)."""


@frozen(kw_only=True, order=True)
class PatientKey:
    """A patient's identity: Patient ID (0010,0020) is unique only within its Issuer of Patient ID (0010,0021).

    An empty issuer means that none was stated; two patients with the same ID and no issuer are *not* known to be one.
    """

    issuer: str
    id: str


@frozen(kw_only=True)
class StudyRef:
    """How a study is named between rooms: its UID for the work, its ``label`` for messages, logs and the ledger.

    The label is a short keyed digest of the UID (see ``Vault.label``), meaningless outside its program.
    """

    study_uid: StudyUID
    label: str = "study"

    def __str__(self) -> str:
        return self.label
