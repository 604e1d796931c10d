"""Our own entry point: registers the built-ins exactly as any plug-in would. Imported by nobody."""

from __future__ import annotations

from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings, dicomweb_from_url
from vna_lifecycle.adapters.dimse.settings import DimseSettings, dimse_from_url
from vna_lifecycle.adapters.files.settings import FilesSettings, files_from_url
from vna_lifecycle.adapters.healthimaging.settings import HealthImagingSettings
from vna_lifecycle.adapters.s3.settings import S3Settings, s3_from_url
from vna_lifecycle.checks.settings import (
    AttributeValuesSettings,
    CollisionsSettings,
    CompletenessSettings,
    DescriptionsSettings,
    FidelitySettings,
    GroupingSettings,
    IdentitySettings,
    ReadabilitySettings,
    TruthSettings,
    UnexplainedChangeSettings,
    ValuesSettings,
)
from vna_lifecycle.plugin import Registry, impl
from vna_lifecycle.ports import AcceptanceCheck, Archive, Site, WaveCheck


@impl
def vna_lifecycle_register(registry: Registry) -> None:
    """Register every built-in archive and check."""
    registry.archive("dicomweb", DicomwebSettings, open_dicomweb, schemes=("http", "https"), from_url=dicomweb_from_url)
    registry.archive("dimse", DimseSettings, open_dimse, schemes=("dimse",), from_url=dimse_from_url)
    registry.archive("files", FilesSettings, open_files, schemes=("files",), from_url=files_from_url)
    registry.archive("healthimaging", HealthImagingSettings, open_healthimaging)
    registry.archive("s3", S3Settings, open_s3, schemes=("s3",), from_url=s3_from_url)
    registry.check("completeness", CompletenessSettings, make_completeness)
    registry.wave_check("identity", IdentitySettings, make_identity, before_transfer=True)
    registry.wave_check("grouping", GroupingSettings, make_grouping, before_transfer=True)
    registry.wave_check("collisions", CollisionsSettings, make_collisions)
    registry.check("fidelity", FidelitySettings, make_fidelity, sampled=True)
    registry.check("values", ValuesSettings, make_values)
    registry.check("attribute-values", AttributeValuesSettings, make_attribute_values, sampled=True)
    registry.wave_check("descriptions", DescriptionsSettings, make_descriptions)
    registry.wave_check("readability", ReadabilitySettings, make_readability)
    registry.wave_check("unexplained-change", UnexplainedChangeSettings, make_unexplained_change)
    registry.wave_check("truth", TruthSettings, make_truth)


def open_dicomweb(settings: DicomwebSettings, site: Site) -> Archive:
    """Open a DICOMweb archive."""
    from vna_lifecycle.adapters.dicomweb.archive import open_archive

    return open_archive(settings, site)


def open_dimse(settings: DimseSettings, site: Site) -> Archive:
    """Open an archive that speaks DIMSE."""
    from vna_lifecycle.adapters.dimse.archive import open_archive

    return open_archive(settings, site)


def open_files(settings: FilesSettings, site: Site) -> Archive:
    """Open a folder archive."""
    from vna_lifecycle.adapters.files.archive import open_archive

    return open_archive(settings, site)


def open_healthimaging(settings: HealthImagingSettings, site: Site) -> Archive:
    """Open a HealthImaging data store."""
    from vna_lifecycle.adapters.healthimaging.archive import open_archive

    return open_archive(settings, site)


def open_s3(settings: S3Settings, site: Site) -> Archive:
    """Open a bucket as an archive."""
    from vna_lifecycle.adapters.s3.archive import open_archive

    return open_archive(settings, site)


def make_completeness(settings: CompletenessSettings) -> AcceptanceCheck:
    """The check of that name."""
    from vna_lifecycle.checks.completeness import Completeness

    return Completeness(settings)


def make_identity(settings: IdentitySettings) -> WaveCheck:
    """The check of that name."""
    from vna_lifecycle.checks.identity import Identity

    return Identity(settings)


def make_grouping(settings: GroupingSettings) -> WaveCheck:
    """The check of that name."""
    from vna_lifecycle.checks.grouping import Grouping

    return Grouping(settings)


def make_collisions(settings: CollisionsSettings) -> WaveCheck:
    """The check of that name."""
    from vna_lifecycle.checks.collisions import Collisions

    return Collisions(settings)


def make_fidelity(settings: FidelitySettings) -> AcceptanceCheck:
    """The check of that name."""
    from vna_lifecycle.checks.fidelity import Fidelity

    return Fidelity(settings)


def make_values(settings: ValuesSettings) -> AcceptanceCheck:
    """The check of that name."""
    from vna_lifecycle.checks.values import Values

    return Values(settings)


def make_attribute_values(settings: AttributeValuesSettings) -> AcceptanceCheck:
    """The check of that name."""
    from vna_lifecycle.checks.attribute_values import AttributeValues

    return AttributeValues(settings)


def make_descriptions(settings: DescriptionsSettings) -> WaveCheck:
    """The check of that name."""
    from vna_lifecycle.checks.descriptions import Descriptions

    return Descriptions(settings)


def make_readability(settings: ReadabilitySettings) -> WaveCheck:
    """The check of that name."""
    from vna_lifecycle.checks.readability import Readability

    return Readability(settings)


def make_unexplained_change(settings: UnexplainedChangeSettings) -> WaveCheck:
    """The check of that name."""
    from vna_lifecycle.checks.unexplained_change import UnexplainedChange

    return UnexplainedChange(settings)


def make_truth(settings: TruthSettings) -> WaveCheck:
    """The check of that name."""
    from vna_lifecycle.checks.truth import Truth

    return Truth(settings)
