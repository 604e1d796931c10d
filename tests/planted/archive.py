"""Archives as data: objects of which any attribute can be set to anything, and clean ones to begin with."""

from __future__ import annotations

import io
from typing import Any

from attrs import evolve, field, frozen
from pydicom import dcmread
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

PEOPLE = (
    # name, birth date, sex, and the character set that the name needs
    ("Abel^Anna", "19510203", "F", ""),
    ("M\u00fcller^J\u00f6rg", "19620412", "M", "ISO_IR 100"),
    (
        "\u041b\u044e\u043a\u0441\u0435\u043c\u0431\u0443\u0440\u0433^\u0420\u043e\u0437\u0430",
        "19730521",
        "F",
        "ISO_IR 144",
    ),
    ("Yamada^Tarou=\u5c71\u7530^\u592a\u90ce", "19840630", "M", "\\ISO 2022 IR 87"),
)
EXAMINATIONS = (
    # modality, body part, laterality, description, procedure code
    ("CT", "CHEST", "", "CT chest", "CTCH"),
    ("MR", "KNEE", "L", "MR knee left", "MRKL"),
    ("US", "ABDOMEN", "", "US abdomen", "USAB"),
)


@frozen(kw_only=True)
class Image:
    """An object of an archive. ``values`` sets attributes by keyword, or removes them (None).

    Then ``replaced`` puts bytes in place of others, ``kept`` cuts the file, and ``tail`` follows it.
    """

    spec: ObjectSpec
    values: tuple[tuple[str, Any], ...] = ()
    replaced: tuple[bytes, bytes] | None = None
    kept: int | None = None
    tail: bytes = b""

    def having(self, **values: Any) -> Image:
        """The same with other values; those of the specification itself go there."""
        return evolve(self, values=(*self.values, *values.items()))

    def to_bytes(self) -> bytes:
        """The object as a file."""
        data = dicom_bytes(self.spec)
        if self.values:
            dataset = dcmread(io.BytesIO(data))
            for keyword, value in self.values:
                _set(dataset, keyword, value)
            written = io.BytesIO()
            dcmwrite(written, dataset, enforce_file_format=True)
            data = written.getvalue()
        if self.replaced is not None:
            before, after = self.replaced
            assert data.count(before) == 1
            data = data.replace(before, after)
        return data[: self.kept] + self.tail


def _set(dataset: Dataset, keyword: str, value: Any) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    if value is None:
        dataset.pop(tag, None)
    elif keyword == "ProcedureCodeSequence":
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator = value, "99LOCAL"
        dataset.ProcedureCodeSequence = [item]
    else:
        dataset.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))


@frozen(kw_only=True)
class CleanArchive:
    """Studies of a few patients in which nothing is wrong. Study ``n`` is of patient ``n % patients``."""

    images: tuple[Image, ...] = field()


def clean_archive(studies: int = 4, *, patients: int = 2, series: int = 1, instances: int = 2) -> CleanArchive:
    """A clean archive; every image has pixels of its own."""
    images = []
    for study in range(1, studies + 1):
        for number in range(1, series + 1):
            for instance in range(1, instances + 1):
                images.append(clean_image(study, number, instance, patients=patients, grey=len(images) % 256))
    return CleanArchive(images=tuple(images))


def clean_image(study: int, series: int, instance: int, *, patients: int, grey: int) -> Image:
    """One image of a clean archive."""
    patient = study % patients
    name, born, sex, character_set = PEOPLE[patient]
    modality, part, laterality, description, code = EXAMINATIONS[study % len(EXAMINATIONS)]
    spec = ObjectSpec(
        study=study,
        series=series,
        instance=instance,
        patient_id=f"P{patient}",
        issuer="HOSP-A",
        patient_name=name,
        character_set=character_set,
        study_date=f"2024{study % 12 + 1:02d}15",
        accession_number=f"A{study}",
        modality=modality,
        study_description=description,
        grey=grey,
    )
    return Image(spec=spec).having(
        PatientBirthDate=born,
        PatientSex=sex,
        BodyPartExamined=part,
        Laterality=laterality or None,
        ProcedureCodeSequence=code,
    )
