"""Every kind of finding with a defect that causes it. The documentation shows this table; the tests plant it.

Each defect is in studies and patients of its own, so that all can be planted into one archive, and what the checks
then find must be the sum of what each defect says it causes: no more, and no less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from attrs import define, evolve, field, frozen
from pydicom.config import IGNORE
from pydicom.data import get_testdata_file
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from planted.archive import Image
from planted.world import PlantedWorld
from vna_lifecycle.checks.settings import FidelitySettings
from vna_lifecycle.model.finding import Finding
from vna_lifecycle.model.identity import PatientKey, StudyUID
from vna_lifecycle.model.inventory import Availability, Basis, Manifest, Refused, StudyRecord
from vna_lifecycle.ports import FetchFailure, Retrieved, StudyCase, TruthRecord
from vna_lifecycle.testing.objects import TRANSFER_SYNTAXES, ObjectSpec

Found: TypeAlias = tuple[str, str, str]
"""What is to be found: check, kind, and Study Instance UID (``""``: not about a study)."""


def found(findings: Sequence[Finding]) -> Counter[Found]:
    """Check, kind and study of each finding."""
    return Counter((item.check, item.kind, item.study.study_uid if item.study else "") for item in findings)


@define
class Plot:
    """Where a defect is planted. Numbers are given out once, so that no two defects meet."""

    old: list[Image | bytes] = field(factory=list)
    older: list[Image | bytes] = field(factory=list)
    before: list[Callable[[PlantedWorld], object]] = field(factory=list)
    afterwards: list[Callable[[PlantedWorld], object]] = field(factory=list)
    database: dict[str, TruthRecord] = field(factory=dict)
    expected: list[Found] = field(factory=list)
    check: str = ""
    _studies: int = 0
    _greys: int = 0

    def study(self, images: int = 2, **spec: Any) -> list[Image]:
        """Images of a new clean study of a new patient; they are not in the archive before they are put there."""
        self._studies += 1
        number = self._studies
        person = {
            "patient_id": f"P{number}",
            "issuer": "HOSP-A",
            "patient_name": f"Family{number}^Given{number}",
            "accession_number": f"A{number}",
            "study_description": "CT chest",
        }
        born = f"{1900 + number}{number % 12 + 1:02d}11"
        return [
            Image(spec=ObjectSpec(study=number, instance=at + 1, grey=self.grey(), **{**person, **spec})).having(
                PatientBirthDate=born, PatientSex="M", BodyPartExamined="CHEST", ProcedureCodeSequence="CTCH"
            )
            for at in range(images)
        ]

    def grey(self) -> int:
        """A value that no other image's pixels have."""
        self._greys += 1
        return self._greys

    def find(self, kind: str, images: list[Image] | None = None) -> None:
        """Say what this defect causes, in the study of ``images``."""
        self.expected.append((self.check, kind, images[0].spec.study_uid if images else ""))

    def tell(self, study: list[Image], **said: Any) -> TruthRecord:
        """Let the source's database tell of a study as it is, but for what is ``said``. It knows all others too."""
        spec = study[0].spec
        record = TruthRecord(
            study_uid=spec.study_uid,
            **{
                "patient": PatientKey(issuer=spec.issuer, id=spec.patient_id),
                "patient_name": spec.patient_name,
                "accession_number": spec.accession_number,
                "study_date": spec.study_date,
                "instance_count": len(study),
                **said,
            },
        )
        self.database[spec.study_uid] = record
        return record

    def show(self, study: list[Image], change: Callable[[StudyCase], StudyCase]) -> None:
        """Show the checks another case of a study than there is."""
        self.before.append(lambda world: world.shown.update({study[0].spec.study_uid: change}))

    def counted(self) -> Counter[Found]:
        """All that is to be found."""
        return Counter(self.expected)

    def prepare(self, world: PlantedWorld) -> None:
        """Fill the sources."""
        for state, files in ((world.old, self.old), (world.older, self.older)):
            for file in files:
                state.add(file if isinstance(file, bytes) else file.to_bytes())
        if self.database:
            studies = [ObjectSpec(study=number).study_uid for number in range(1, self._studies + 1)]
            nobody = PatientKey(issuer="", id="")
            known = {uid: TruthRecord(study_uid=uid, patient=nobody) for uid in studies}
            world.claims.database.update({**known, **self.database})
        for step in self.before:
            step(world)

    def finish(self, world: PlantedWorld) -> None:
        """What happens after the transfer."""
        for step in self.afterwards:
            step(world)


@frozen(kw_only=True)
class Defect:
    """A defect: its name for people, the check that finds it, how it is planted."""

    name: str
    check: str
    plant: Callable[[Plot], None]
    apart: bool

    def into(self, plot: Plot) -> Plot:
        """Plant it."""
        plot.check = self.check
        self.plant(plot)
        return plot


_Plant: TypeAlias = Callable[[Plot], None]
DEFECTS: Final[list[Defect]] = []


def planted(check: str, name: str, *, apart: bool = False) -> Callable[[_Plant], _Plant]:
    """Put a defect into the table. One that is ``apart`` would make others' studies doubtful too."""

    def add(plant: _Plant) -> _Plant:
        DEFECTS.append(Defect(name=name, check=check, plant=plant, apart=apart))
        return plant

    return add


def person_of(other: list[Image]) -> dict[str, Any]:
    """What a study's specification needs to be of the patient of another."""
    spec = other[0].spec
    return {"patient_id": spec.patient_id, "patient_name": spec.patient_name, "issuer": spec.issuer}


def born_like(images: list[Image], other: list[Image]) -> list[Image]:
    """Images whose patient was born when that of another study was."""
    born = dict(other[0].values)["PatientBirthDate"]
    return [image.having(PatientBirthDate=born) for image in images]


# ------------------------------------------------------------------------------------------------ identity


@planted("identity", "a study without a Patient ID")
def _(plot: Plot) -> None:
    study = plot.study(patient_id="")
    plot.old += study
    plot.find("missing-patient-id", study)


@planted("identity", "a Patient ID without an issuer, beside IDs of two issuers")
def _(plot: Plot) -> None:
    study = plot.study(issuer="")
    plot.old += [*study, *plot.study(), *plot.study(issuer="HOSP-B")]
    plot.find("missing-issuer", study)


@planted("identity", "two patients in one study")
def _(plot: Plot) -> None:
    study = plot.study()
    other = plot.study()
    changed = evolve(study[1].spec, **person_of(other))
    plot.old += [study[0], *born_like([evolve(study[1], spec=changed)], other)]
    plot.find("several-patients-in-study", study)


@planted("identity", "one Patient ID for two people")
def _(plot: Plot) -> None:
    one = plot.study()
    other = plot.study(patient_id=one[0].spec.patient_id)
    plot.old += [*one, *other]
    plot.find("patient-id-for-several-people", one)
    plot.find("patient-id-for-several-people", other)


@planted("identity", "a patient with a new family name")
def _(plot: Plot) -> None:
    one = plot.study()
    given = one[0].spec.patient_name.partition("^")[2]
    other = plot.study(patient_id=one[0].spec.patient_id, patient_name=f"Newname^{given}")
    plot.old += [*one, *born_like(other, one)]
    plot.find("patient-demographics-vary")


@planted("identity", "one patient under two issuers")
def _(plot: Plot) -> None:
    one = plot.study()
    other = plot.study(**{**person_of(one), "issuer": "HOSP-B"})
    plot.old += [*one, *born_like(other, one)]
    plot.find("one-person-under-several-issuers", one)
    plot.find("one-person-under-several-issuers", other)


@planted("identity", "an unmerged patient: one person under two IDs")
def _(plot: Plot) -> None:
    one = plot.study()
    name = one[0].spec.patient_name.upper().replace("^", ", ")  # as an older system wrote it
    other = plot.study(patient_name=name)
    plot.old += [*one, *born_like(other, one)]
    plot.find("one-person-under-several-ids")


@planted("identity", "one ID with an issuer and, for somebody else, without", apart=True)
def _(plot: Plot) -> None:
    one = plot.study()
    plot.old += [*one, *plot.study(patient_id=one[0].spec.patient_id, issuer="")]
    plot.find("patient-id-with-and-without-issuer")


# ------------------------------------------------------------------------------------------------ grouping


@planted("grouping", "a series in two studies")
def _(plot: Plot) -> None:
    one, other = plot.study(), plot.study()
    plot.old += [*one, *(image.having(SeriesInstanceUID=one[0].spec.series_uid) for image in other)]
    plot.find("series-in-several-studies", one)
    plot.find("series-in-several-studies", other)


@planted("grouping", "two accession numbers in one study")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += [study[0], study[1].having(AccessionNumber="OTHER")]
    plot.find("several-accession-numbers", study)


@planted("grouping", "two study dates in one study")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += [study[0], study[1].having(StudyDate="20010101")]
    plot.find("several-study-dates", study)


@planted("grouping", "objects of a study that state its time differently")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += [study[0], study[1].having(StudyTime="235959")]
    plot.find("study-attributes-vary", study)


@planted("grouping", "a study without a date")
def _(plot: Plot) -> None:
    study = plot.study(study_date="")
    plot.old += study
    plot.find("study-without-date", study)


# ------------------------------------------------------------------------------------------------ collisions


@planted("collisions", "two images under one SOP Instance UID")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += [*study, evolve(study[1], spec=evolve(study[1].spec, grey=plot.grey()))]
    plot.find("one-uid-several-contents", study)


@planted("collisions", "one image under one SOP Instance UID in two studies")
def _(plot: Plot) -> None:
    one, other = plot.study(), plot.study()
    plot.old += [*one, other[0], other[1].having(SOPInstanceUID=one[1].spec.sop_instance_uid)]
    plot.find("one-uid-several-contents", one)
    plot.find("one-uid-several-contents", other)


@planted("collisions", "two states of a patient's data under one SOP Instance UID")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += [*study, study[1].having(PatientComments="allergic")]
    plot.find("one-uid-several-demographics", study)


@planted("collisions", "one image in two encodings, in two sources")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.older += [_in_syntax(study[1], TRANSFER_SYNTAXES[2])]
    plot.find("one-uid-several-encodings", study)


@planted("collisions", "two objects under one SOP Instance UID, one of which is gone when it is looked at")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.older += [_in_syntax(study[1], TRANSFER_SYNTAXES[0])]
    plot.afterwards.append(lambda world: world.older.files.pop(_locator(world.older, study[1])))
    plot.find("one-uid-not-compared", study)


@planted("collisions", "one image under two SOP Instance UIDs")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += [*study, evolve(study[1], spec=evolve(study[1].spec, instance=3))]
    plot.find("one-content-several-uids", study)


def _in_syntax(image: Image, transfer_syntax: str) -> Image:
    return evolve(image, spec=evolve(image.spec, transfer_syntax=transfer_syntax))


def _locator(state: Any, image: Image) -> str:
    found = state.find(image.spec.sop_instance_uid)
    assert found is not None
    locator: str = found[0]
    return locator


# ------------------------------------------------------------------------------------------------ values


@planted("values", "a body part of more than 16 characters")
def _(plot: Plot) -> None:
    study = [image.having(BodyPartExamined="CHEST AND ABDOMEN") for image in plot.study()]
    plot.old += study
    plot.find("value-too-long", study)


@planted("values", "a description of more than 64 characters")
def _(plot: Plot) -> None:
    study = [image.having(SeriesDescription="thin " * 20) for image in plot.study()]
    plot.old += study
    plot.find("value-too-long", study)


@planted("values", "a study date as ACR-NEMA wrote it")
def _(plot: Plot) -> None:
    study = plot.study(study_date="2024.03.01")
    plot.old += study
    plot.find("value-not-allowed", study)


@planted("values", "a UID with a leading zero")
def _(plot: Plot) -> None:
    study = [image.having(SeriesInstanceUID=f"{image.spec.series_uid}.007") for image in plot.study()]
    plot.old += study
    plot.find("value-not-allowed", study)


@planted("values", "a character set that DICOM does not define")
def _(plot: Plot) -> None:
    study = plot.study(character_set="ISO_IR 100")
    plot.old += [evolve(image, replaced=(b"ISO_IR 100", b"ISO_IR 999")) for image in study]
    plot.find("character-set-unusable", study)


@planted("values", "text that is not in the character set that it states")
def _(plot: Plot) -> None:
    study = plot.study(character_set="ISO_IR 100", modality="CR", study_description="Sch\u00e4del")
    plot.old += [evolve(image, replaced=(b"ISO_IR 100", b"ISO_IR 192")) for image in study]
    plot.find("character-set-unusable", study)


@planted("attribute-values", "an institution's name of more than 64 characters, in implicit VR")
def _(plot: Plot) -> None:
    images = plot.study(transfer_syntax=TRANSFER_SYNTAXES[0])
    study = [image.having(InstitutionName="Saint " * 12) for image in images]
    plot.old += study
    plot.find("attribute-too-long", study)


@planted("attribute-values", "a code in lower case, in an item of a sequence")
def _(plot: Plot) -> None:
    item = Dataset()
    item.add(DataElement("Modality", "CS", "ct", validation_mode=IGNORE))
    study = [image.having(IrradiationEventIdentificationSequence=[item]) for image in plot.study()]
    plot.old += study
    plot.find("attribute-not-allowed", study)


# ------------------------------------------------------------------------------------------------ descriptions


@planted("descriptions", "studies with neither a description nor a code")
def _(plot: Plot) -> None:
    for _ in range(2):
        plot.old += [
            image.having(ProcedureCodeSequence=None) for image in plot.study(modality="NM", study_description="")
        ]
    plot.find("no-description")


@planted("descriptions", "one procedure code with two descriptions")
def _(plot: Plot) -> None:
    for description in ("PET brain", "PET whole body"):
        plot.old += plot.study(modality="PT", study_description=description)
    plot.find("code-with-several-descriptions")


@planted("descriptions", "one description with two procedure codes")
def _(plot: Plot) -> None:
    for code in ("XA1", "XA2"):
        plot.old += [image.having(ProcedureCodeSequence=code) for image in plot.study(modality="XA")]
    plot.find("description-with-several-codes")


@planted("descriptions", "a prior without body part and code")
def _(plot: Plot) -> None:
    one = plot.study(modality="MG", study_description="Mammography")
    other = born_like(plot.study(modality="MG", study_description="Mammography", **person_of(one)), one)
    plot.old += [*one, *(image.having(BodyPartExamined=None, ProcedureCodeSequence=None) for image in other)]
    plot.find("priors-missed")


# ------------------------------------------------------------------------------------------------ readability


@planted("readability", "a truncated file")
def _(plot: Plot) -> None:
    plot.old += [evolve(plot.study()[0], kept=600)]
    plot.find("objects-refused")


@planted("readability", "a file that is not DICOM")
def _(plot: Plot) -> None:
    plot.old += [b"Meeting notes, March"]
    plot.find("files-not-dicom")


@planted("readability", "a hanging protocol")
def _(plot: Plot) -> None:
    plot.old += [plot.study()[0].having(SOPClassUID="1.2.840.10008.5.1.4.38.1")]
    plot.find("objects-without-patient")


@planted("readability", "an object that the source sent and does not list")
def _(plot: Plot) -> None:
    sent = Refused(locator="arrivals/1.dcm", code="sent-but-not-listed", reason="it is not listed")
    plot.before.append(lambda world: world.claims.unlisted.append(sent))
    plot.find("objects-unexpected")


@planted("readability", "a DICOMDIR")
def _(plot: Plot) -> None:
    plot.old += [Path(str(get_testdata_file("DICOMDIR", download=False))).read_bytes()]
    plot.find("media-directories")


@planted("readability", "a study that the source knows and has no object of")
def _(plot: Plot) -> None:
    study = plot.study()
    _claim(plot, study, instance_count=0)
    plot.find("study-without-objects", study)


@planted("readability", "an image with fewer pixels than it describes")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += [study[0], study[1].having(Rows=8)]
    plot.find("objects-damaged", study)


@planted("readability", "an object whose elements are out of order")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += [study[0], evolve(study[1], tail=b"\x10\x00\x00\x40LT\x04\x00late")]
    plot.find("objects-doubtful", study)


@planted("readability", "an object that is padded with zeros")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += [study[0], evolve(study[1], tail=bytes(64))]
    plot.find("objects-unusual", study)


@planted("readability", "a study on media that were taken out")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.before.append(lambda world: world.claims.availability.update({study[0].spec.study_uid: Availability.OFFLINE}))
    plot.find("objects-offline", study)


@planted("readability", "a study that cannot be had any more")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    gone = Availability.UNAVAILABLE
    plot.before.append(lambda world: world.claims.availability.update({study[0].spec.study_uid: gone}))
    plot.find("objects-unavailable", study)


def _claim(plot: Plot, study: list[Image], **said: Any) -> None:
    spec = study[0].spec
    record = StudyRecord(
        study_uid=StudyUID(spec.study_uid),
        patient=PatientKey(issuer=spec.issuer, id=spec.patient_id),
        patient_name=spec.patient_name,
        patient_birth_date=dict(study[0].values)["PatientBirthDate"],
        patient_sex="M",
        study_date=spec.study_date,
        study_time="120000",
        study_id=str(spec.study),
        accession_number=spec.accession_number,
        description=spec.study_description,
        procedure_code="CTCH^99LOCAL",
        modalities=("CT",),
        **{"basis": Basis.INSTANCES, **said},
    )
    plot.before.append(lambda world: world.claims.studies.append(record))


# ------------------------------------------------------------------------------------------------ completeness


@planted("completeness", "a source that claims more instances than it has")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    _claim(plot, study, instance_count=3)
    plot.find("fewer-instances-than-claimed", study)


@planted("completeness", "a source that claims fewer instances than it has")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    _claim(plot, study, instance_count=1)
    plot.find("more-instances-than-claimed", study)


@planted("completeness", "a source that only counts, and was retrieved once")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    _claim(plot, study, instance_count=2, basis=Basis.STUDY_COUNT)
    plot.find("completeness-indeterminate", study)


@planted("completeness", "an object that is listed and was never fetched")
def _(plot: Plot) -> None:
    study = plot.study(images=3)
    plot.old += study
    plot.show(
        study,
        lambda case: evolve(case, source=_cut(case.source), expected=_cut(case.expected), target=None, retrieved=()),
    )
    plot.find("instances-not-in-hand", study)
    plot.find("not-read-back", study)


@planted("completeness", "an instance that a rule took away")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.show(study, lambda case: evolve(case, expected=_cut(case.expected), retrieved=()))
    plot.find("instances-dropped", study)


@planted("completeness", "an instance that is not in the read-back")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.show(study, lambda case: evolve(case, target=case.target and _cut(case.target), retrieved=()))
    plot.find("instances-missing", study)


def _cut(manifest: Manifest) -> Manifest:
    return evolve(manifest, entries=manifest.entries[:-1])


# ------------------------------------------------------------------------------------------------ fidelity


@planted("fidelity", "a study that the reader's query does not find")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.afterwards += [lambda world, image=image: world.view.files.pop(_locator(world.view, image)) for image in study]
    plot.find("not-found-by-reader", study)


@planted("fidelity", "a reader who is shown another patient")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    for image in study:
        plot.afterwards.append(_serve(image, image.having(PatientID="COERCED")))
    plot.find("found-under-other-identity", study)
    plot.find("served-differently", study)


@planted("fidelity", "a reader who is served other pixels")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.afterwards.append(_serve(study[1], evolve(study[1], spec=evolve(study[1].spec, grey=plot.grey()))))
    plot.find("served-differently", study)


@planted("fidelity", "a reader who is served another encoding")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.afterwards.append(_serve(study[1], _in_syntax(study[1], TRANSFER_SYNTAXES[0])))
    plot.find("served-re-encoded", study)


@planted("fidelity", "a reader who is not served everything")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.afterwards.append(lambda world: world.view.files.pop(_locator(world.view, study[1])))
    plot.find("not-served-to-reader", study)
    plot.find("record-varies", study)  # it counts one fewer


@planted("fidelity", "a reader who is served more than was accepted")
def _(plot: Plot) -> None:
    study = plot.study(images=3)
    plot.old += study[:2]
    plot.afterwards.append(lambda world: world.view.add(study[2].to_bytes()))
    plot.find("served-beyond", study)
    plot.find("record-varies", study)


@planted("fidelity", "a reader whose retrieval breaks off")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.show(study, _broken_off)
    plot.find("not-served-to-reader", study)


@planted("fidelity", "a reader's index that has another accession number than the objects")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.show(study, lambda case: _relisted(case, accession_number="A0"))
    plot.find("found-under-other-identity", study)


@planted("fidelity", "a reader's index that spells the patient's name otherwise")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.show(study, lambda case: _relisted(case, patient_name="Somebody^Else"))
    plot.find("record-varies", study)


@planted("fidelity", "a reader who waits too long")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.before.append(lambda world: world.settings.update(fidelity=FidelitySettings(max_seconds=3600.0)))
    plot.show(
        study, lambda case: evolve(case, retrieved=tuple(evolve(each, seconds=3601.0) for each in case.retrieved))
    )
    plot.find("slow-retrieval", study)


def _broken_off(case: StudyCase) -> StudyCase:
    def broken(each: Retrieved) -> Retrieved:
        failure = FetchFailure(record=each.objects[-1].record, code="connection-lost", message="it broke off")
        return evolve(each, objects=each.objects[:-1], failures=(failure,))

    return evolve(case, retrieved=tuple(map(broken, case.retrieved)))


def _relisted(case: StudyCase, **values: Any) -> StudyCase:
    return evolve(
        case,
        retrieved=tuple(evolve(each, listed=each.listed and evolve(each.listed, **values)) for each in case.retrieved),
    )


@planted("fidelity", "a source that changed after the transfer")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    edited = evolve(study[1], spec=evolve(study[1].spec, grey=plot.grey()))
    plot.afterwards.append(lambda world: world.old.files.update({_locator(world.old, study[1]): edited.to_bytes()}))
    plot.find("changed-since-transfer", study)


def _serve(image: Image, other: Image) -> Callable[[PlantedWorld], object]:
    return lambda world: world.view.files.update({_locator(world.view, image): other.to_bytes()})


# ------------------------------------------------------------------------------------------------ unexplained change


@planted("unexplained-change", "an object that was edited at the target")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    edited = evolve(study[1], spec=evolve(study[1].spec, grey=plot.grey()))
    plot.afterwards.append(lambda world: world.new.files.update({_locator(world.new, study[1]): edited.to_bytes()}))
    plot.find("changed-at-target", study)


@planted("unexplained-change", "an object that vanished from the target")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.afterwards.append(lambda world: world.new.files.pop(_locator(world.new, study[1])))
    plot.find("vanished-from-target", study)


@planted("unexplained-change", "an object that somebody else added at the target")
def _(plot: Plot) -> None:
    study = plot.study(images=3)
    plot.old += study[:2]
    plot.afterwards.append(lambda world: world.new.add(study[2].to_bytes()))
    plot.find("added-at-target", study)


@planted("unexplained-change", "an object that the target lists and does not serve")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.afterwards.append(lambda world: world.unserved.append(_locator(world.new, study[1])))
    plot.find("unreadable-at-target", study)


# ------------------------------------------------------------------------------------------------ truth


@planted("truth", "a stale patient in the headers")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.tell(study, patient=PatientKey(issuer="HOSP-A", id="MERGED"))
    plot.find("truth-patient-differs", study)


@planted("truth", "a stale issuer in the headers")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.tell(study, patient=PatientKey(issuer="HOSP-Z", id=study[0].spec.patient_id))
    plot.find("truth-patient-differs", study)


@planted("truth", "another patient's name in the database")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.tell(study, patient_name="Somebody^Else")
    plot.find("truth-name-differs", study)


@planted("truth", "a new family name in the database")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.tell(study, patient_name=f"Newname^{study[0].spec.patient_name.partition('^')[2]}")
    plot.find("truth-name-varies", study)


@planted("truth", "another accession number in the database")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.tell(study, accession_number="A0")
    plot.find("truth-accession-differs", study)


@planted("truth", "another study date in the database")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.tell(study, study_date="20010101")
    plot.find("truth-date-differs", study)


@planted("truth", "an image that the database counts and the source does not list")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.tell(study, instance_count=3)
    plot.find("truth-counts-differ", study)


@planted("truth", "a study that was deleted at the source, and planned before anybody knew")
def _(plot: Plot) -> None:
    _withheld(plot, "deleted-at-source", deleted=True)


@planted("truth", "a study that the source hides from readers, and planned before anybody knew")
def _(plot: Plot) -> None:
    _withheld(plot, "hidden-at-source", hidden=True)


@planted("truth", "a study that the source's database does not know")
def _(plot: Plot) -> None:
    study = plot.study()
    plot.old += study
    plot.tell(study)
    plot.before.append(lambda world: world.claims.database.pop(study[0].spec.study_uid))
    plot.before.append(lambda world: world.claims.database.setdefault("1.2.3", _elsewhere()))
    plot.find("unknown-to-source", study)


def _elsewhere() -> TruthRecord:
    return TruthRecord(study_uid=StudyUID("1.2.3"), patient=PatientKey(issuer="", id=""))


def _withheld(plot: Plot, kind: str, **said: bool) -> None:
    study = plot.study()
    plot.old += study
    record = plot.tell(study)

    def learn(world: PlantedWorld) -> None:
        world.claims.database[record.study_uid] = evolve(record, **said)
        world.program.read_truth(["old"])

    plot.afterwards.append(learn)
    plot.find(kind, study)
