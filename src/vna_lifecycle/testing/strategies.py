"""Hypothesis strategies for small DICOM objects, and for archives of them with the defects that real ones have."""

from __future__ import annotations

from attrs import evolve, frozen
from hypothesis import strategies as st

from vna_lifecycle.testing.objects import NAMES, TRANSFER_SYNTAXES, ObjectSpec, dicom_bytes

_DATES = ("", "19991231", "20240229", "2024.03.01", "20241131")  # absent, plain, leap day, ACR-NEMA, impossible


def object_specs(*, studies: int = 3, series: int = 2, instances: int = 4) -> st.SearchStrategy[ObjectSpec]:
    """Objects of a few studies, each of which belongs to one patient and is consistent in itself."""

    def build(study: int, number: int, instance: int, syntax: str, grey: int) -> ObjectSpec:
        character_set, name = NAMES[study % len(NAMES)]
        patient = study % 2 + 1  # some patients have several studies
        return ObjectSpec(
            study=study,
            series=number,
            instance=instance,
            patient_id=f"P{patient}",
            issuer="" if patient == 1 else "HOSP-A",
            patient_name=name,
            character_set=character_set,
            study_date=_DATES[study % len(_DATES)],
            accession_number=f"A{study}",
            modality=("CT", "MR", "US")[number % 3],
            study_description=f"Study {study}",
            transfer_syntax=syntax,
            grey=grey,
        )

    return st.builds(
        build,
        st.integers(1, studies),
        st.integers(1, series),
        st.integers(1, instances),
        st.sampled_from(TRANSFER_SYNTAXES),
        st.integers(0, 255),
    )


def dicom_files() -> st.SearchStrategy[bytes]:
    """Whole DICOM files."""
    return object_specs().map(dicom_bytes)


@frozen(kw_only=True)
class SmallArchive:
    """What a source may hold. ``objects`` have different SOP Instance UIDs.

    ``duplicates`` are objects that are there once more; ``conflicts`` have the UID of an object and other contents.
    """

    objects: tuple[ObjectSpec, ...]
    duplicates: tuple[ObjectSpec, ...] = ()
    conflicts: tuple[ObjectSpec, ...] = ()

    @property
    def everything(self) -> tuple[ObjectSpec, ...]:
        """All of it."""
        return self.objects + self.duplicates + self.conflicts


def conflicts_of(spec: ObjectSpec) -> st.SearchStrategy[ObjectSpec]:
    """Other contents under the same UID: in encoding, in demographics, or in substance."""
    syntaxes = [syntax for syntax in TRANSFER_SYNTAXES[:3] if syntax != spec.transfer_syntax]
    return st.one_of(
        st.sampled_from(syntaxes).map(lambda syntax: evolve(spec, transfer_syntax=syntax)),
        st.just(evolve(spec, patient_id=spec.patient_id + "X")),
        st.just(evolve(spec, grey=(spec.grey + 1) % 256)),
    )


@st.composite
def small_archives(draw: st.DrawFn, *, max_objects: int = 8, defects: bool = True) -> SmallArchive:
    """Archives of a few studies and patients; with ``defects``, also duplicates and conflicting contents."""
    objects = draw(
        st.lists(object_specs(), min_size=1, max_size=max_objects, unique_by=lambda spec: spec.sop_instance_uid)
    )
    if not defects:
        return SmallArchive(objects=tuple(objects))
    some = st.lists(st.sampled_from(objects), max_size=2)
    return SmallArchive(
        objects=tuple(objects),
        duplicates=tuple(draw(some)),
        conflicts=tuple(draw(conflicts_of(spec)) for spec in draw(some)),
    )
