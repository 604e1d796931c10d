"""Small valid DICOM objects from a few values: the same specification always gives the same bytes."""

from __future__ import annotations

import io
from typing import Final

from attrs import frozen
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from vna_lifecycle.model.identity import SeriesUID, SOPInstanceUID, StudyUID

_ROOT: Final = "1.2.826.0.1.3680043.10.1999"
_SIDE: Final = 4  # pixels

TRANSFER_SYNTAXES: Final[tuple[str, ...]] = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
"""What `dicom_bytes` can write. JPEG's codestreams are well framed, but hold no picture."""

NAMES: Final[tuple[tuple[str, str], ...]] = (
    # Specific Character Set (PS3.3 C.12.1.1.2), and a name that needs it
    ("", "Doe^Jane"),
    ("ISO_IR 100", "M\u00fcller^J\u00f6rg"),
    ("ISO_IR 192", "\u0160\u0165astn\u00fd^\u0141ukasz"),
    ("ISO_IR 144", "\u041b\u044e\u043a\u0441\u0435\u043c\u0431\u0443\u0440\u0433"),
    ("\\ISO 2022 IR 87", "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"),
)
"""Character sets with a name that needs them."""


@frozen(kw_only=True)
class ObjectSpec:
    """A CT image of 4 by 4 pixels. Numbers become UIDs; ``grey`` is every pixel's value."""

    study: int = 1
    series: int = 1
    instance: int = 1
    patient_id: str = "P1"
    issuer: str = ""
    patient_name: str = "Doe^Jane"
    character_set: str = ""
    study_date: str = "20240229"
    accession_number: str = ""
    modality: str = "CT"
    study_description: str = ""
    transfer_syntax: str = ExplicitVRLittleEndian
    grey: int = 0

    @property
    def study_uid(self) -> StudyUID:
        """Study Instance UID."""
        return StudyUID(f"{_ROOT}.{self.study}")

    @property
    def series_uid(self) -> SeriesUID:
        """Series Instance UID."""
        return SeriesUID(f"{_ROOT}.{self.study}.{self.series}")

    @property
    def sop_instance_uid(self) -> SOPInstanceUID:
        """SOP Instance UID."""
        return SOPInstanceUID(f"{_ROOT}.{self.study}.{self.series}.{self.instance}")


def dicom_bytes(spec: ObjectSpec) -> bytes:
    """The object as a DICOM file (PS3.10)."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = spec.character_set.split("\\") if spec.character_set else None
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = spec.sop_instance_uid
    # Not by its keyword: pydicom would refuse the dates of old archives, and those are what readers must cope with.
    dataset.add(DataElement("StudyDate", "DA", spec.study_date, validation_mode=IGNORE))
    dataset.StudyTime = "120000"
    dataset.AccessionNumber = spec.accession_number
    dataset.Modality = spec.modality
    dataset.StudyDescription = spec.study_description
    dataset.PatientName = spec.patient_name
    dataset.PatientID = spec.patient_id
    if spec.issuer:
        dataset.IssuerOfPatientID = spec.issuer
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = spec.study_uid
    dataset.SeriesInstanceUID = spec.series_uid
    dataset.StudyID = str(spec.study)
    dataset.SeriesNumber = spec.series
    dataset.InstanceNumber = spec.instance
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = _SIDE
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    pixels = bytes([spec.grey]) * (_SIDE * _SIDE)
    if spec.transfer_syntax == JPEGBaseline8Bit:
        dataset.PixelData = encapsulate([b"\xff\xd8" + pixels + b"\xff\xd9"])
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset.PixelData = pixels
    dataset["PixelData"].VR = "OB"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(spec.sop_instance_uid)
    meta.TransferSyntaxUID = UID(spec.transfer_syntax)
    meta.ImplementationClassUID = UID(f"{_ROOT}.1")
    dataset.file_meta = meta
    written = io.BytesIO()
    dcmwrite(written, dataset, enforce_file_format=True)
    return written.getvalue()
