"""What the archive of a merged clinic adds to the legacy archive: sound studies, and the defects of real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from attrs import evolve, frozen
from pydicom import DataElement, dcmread
from pydicom.config import IGNORE
from pydicom.uid import UID, generate_uid

CLINIC: Final = "CLINIC"
HOSPITAL: Final = "HOSPITAL"
_STUDY_DESCRIPTION: Final = 0x00081030
_SERIES_DESCRIPTION: Final = 0x0008103E
LONG_DESCRIPTION: Final = "CT of the whole abdomen and pelvis with contrast, portal venous phase, after trauma"


@frozen(kw_only=True)
class Study:
    """A study to be made: ``key`` names it, and its UIDs come from it. ``slices`` are numbers of its images."""

    key: str
    patient_id: str
    name: str
    birth: str
    sex: str
    issuer: str = CLINIC
    modality: str = "CT"
    description: str = "CT Chest"
    date: str = "20140312"
    slices: tuple[int, ...] = (1, 2)

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return made_uid(self.key)


def made_uid(*words: object) -> str:
    """The same UID for the same words."""
    return str(generate_uid(entropy_srcs=["vna-lifecycle demo", *map(str, words)]))


SOUND: Final = Study(key="sound", patient_id="C-1001", name="Okafor^Grace", birth="19610214", sex="F")
STALE: Final = Study(
    key="stale", patient_id="C-1003", name="Berg^Anna", birth="19550707", sex="F", date="20140401", slices=(1,)
)
COUNTED: Final = Study(
    key="counted", patient_id="C-1004", name="Novak^Petr", birth="19480930", sex="M", modality="MR",
    description="MR Head",
)  # fmt: skip
DELETED: Final = Study(key="deleted", patient_id="C-1007", name="Silva^Rui", birth="19720101", sex="M", slices=(1,))
HIDDEN: Final = Study(key="hidden", patient_id="C-1008", name="Keller^Ida", birth="19830606", sex="F", slices=(1,))

NO_DATE: Final = Study(key="no date", patient_id="C-1005", name="Ivanova^Olga", birth="19691111", sex="F", date="")
NOT_LATIN: Final = Study(
    key="not latin", patient_id="C-1002", name="Yamada^Tarou=山田^太郎=やまだ^たろう", birth="19400503", sex="M",
    modality="MR", description="MR Head",
)  # fmt: skip
TOO_LONG: Final = Study(
    key="too long", patient_id="C-1006", name="Dupont^Marie", birth="19900829", sex="F", description=LONG_DESCRIPTION
)
TWO_ISSUERS: Final = Study(
    key="two issuers", patient_id="2001", issuer=HOSPITAL, name="Moreau^Claire", birth="19580119", sex="F"
)
TWO_PEOPLE: Final = Study(
    key="two people", patient_id="2002", issuer=HOSPITAL, name="Smith^John", birth="19500505", sex="M"
)
TWO_STUDIES: Final = Study(
    key="two studies", patient_id="2003", issuer=HOSPITAL, name="Rossi^Paola", birth="19771224", sex="F"
)
ONE_UID: Final = Study(key="one uid", patient_id="2004", issuer=HOSPITAL, name="Larsen^Nils", birth="19660316", sex="M")
TWO_UIDS: Final = Study(
    key="two uids", patient_id="2005", issuer=HOSPITAL, name="Costa^Joana", birth="19810922", sex="F", slices=(1,)
)


def plant(folder: Path, shipped: Path) -> None:
    """Write the clinic's volume into ``folder``, from pydicom's files in ``shipped``."""
    make = Maker(folder=folder, shipped=shipped)
    for study in (SOUND, STALE, COUNTED, DELETED, HIDDEN):
        make.study(study)
    for defect in DEFECTS.values():
        defect(make)


@frozen(kw_only=True)
class Maker:
    """Makes images of studies from one of pydicom's."""

    folder: Path
    shipped: Path

    def study(self, study: Study) -> None:
        """All images of a study."""
        for number in study.slices:
            self.image(study, number)

    def image(
        self, study: Study, number: int, *, content: int = 0, uid: str = "", series: str = "", name: str = ""
    ) -> Path:
        """One image. ``content`` makes its pixels (default: ``number``); ``uid`` and ``series`` replace its UIDs."""
        data = dcmread(self.shipped / ("MR_small.dcm" if study.modality == "MR" else "CT_small.dcm"))
        data.SpecificCharacterSet = "ISO_IR 192"
        data.PatientID, data.IssuerOfPatientID = study.patient_id, study.issuer
        data.PatientName, data.PatientBirthDate, data.PatientSex = study.name, study.birth, study.sex
        data.StudyInstanceUID, data.StudyDate = study.study_uid, study.date
        data.StudyID = data.AccessionNumber = "A" + made_uid(study.key, "order")[-8:]
        data.SeriesInstanceUID = series or made_uid(study.key, "series")
        for tag in (_STUDY_DESCRIPTION, _SERIES_DESCRIPTION):
            data.add(DataElement(tag, "LO", study.description, validation_mode=IGNORE))  # one is too long on purpose
        data.BodyPartExamined = "HEAD" if study.modality == "MR" else "CHEST"
        data.InstanceNumber = str(number)
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = UID(uid or made_uid(study.key, number))
        pixels = bytearray(data.PixelData)
        pixels[:4] = made_uid(study.key, "pixels", content or number)[-4:].encode()
        data.PixelData = bytes(pixels)
        place = self.folder / study.modality / study.key.replace(" ", "-").upper() / (name or f"IM{number:06d}")
        place.parent.mkdir(parents=True, exist_ok=True)
        data.save_as(place, enforce_file_format=True)
        return place


def _two_issuers(make: Maker) -> None:
    make.study(TWO_ISSUERS)
    make.study(evolve(TWO_ISSUERS, key="two issuers, again", issuer="REGION", date="20140820"))


def _two_people(make: Maker) -> None:
    make.study(TWO_PEOPLE)
    make.study(evolve(TWO_PEOPLE, key="two people, again", name="Haddad^Layla", birth="19881030", sex="F"))


def _series_in_two_studies(make: Maker) -> None:
    make.study(TWO_STUDIES)
    make.image(evolve(TWO_STUDIES, key="two studies, again"), 3, series=made_uid(TWO_STUDIES.key, "series"))


def _two_images_under_one_uid(make: Maker) -> None:
    make.study(ONE_UID)
    make.image(ONE_UID, 2, content=3, name="IM000002_1")


def _one_image_under_two_uids(make: Maker) -> None:
    make.study(TWO_UIDS)
    make.image(TWO_UIDS, 1, content=1, uid=made_uid(TWO_UIDS.key, "retrieved again"), name="IM000002")


def _truncated_file(make: Maker) -> None:
    whole = make.image(SOUND, 3)
    whole.write_bytes(whole.read_bytes()[:20_000])


def _no_dicom_file(make: Maker) -> None:
    (make.folder / "CT" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0 a cache of a file browser")


DEFECTS: Final[dict[str, Callable[[Maker], None]]] = {
    "two issuers for one patient": _two_issuers,
    "one patient ID for two people": _two_people,
    "a series in two studies": _series_in_two_studies,
    "two images under one UID": _two_images_under_one_uid,
    "one image under two UIDs": _one_image_under_two_uids,
    "a truncated file": _truncated_file,
    "a file that is no DICOM": _no_dicom_file,
    "a study without a date": lambda make: make.study(NO_DATE),
    "values that are too long": lambda make: make.study(TOO_LONG),
    "a name that is not Latin": lambda make: make.study(NOT_LATIN),
}
