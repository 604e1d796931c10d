"""An archive and checks of an invented vendor, as a plug-in of vna_lifecycle."""

from vna_lifecycle.plugin import Registry, impl
from vna_lifecycle.ports import Archive, Site
from vna_lifecycle_acme.accessions import AccessionCheck
from vna_lifecycle_acme.overlays import OverlayCheck
from vna_lifecycle_acme.settings import (
    AccessionSettings,
    AcmeSettings,
    OverlaySettings,
    ViewerSettings,
    acme_from_url,
)
from vna_lifecycle_acme.viewer import ViewerCheck


def open_acme(settings: AcmeSettings, site: Site) -> Archive:
    """The vendor's folder, as an archive that can be read."""
    from vna_lifecycle_acme.archive import AcmeSource  # only now: listing plug-ins stays fast

    return Archive(reads=AcmeSource(settings, site))


@impl
def vna_lifecycle_register(registry: Registry) -> None:
    """Bring in the archive, and a check of each sort: of every study, of the sample, of whole waves."""
    registry.archive("acme", AcmeSettings, open_acme, schemes=("acme",), from_url=acme_from_url)
    registry.check("acme-overlays", OverlaySettings, OverlayCheck)
    registry.check("acme-viewer", ViewerSettings, ViewerCheck, sampled=True)
    registry.wave_check("acme-accessions", AccessionSettings, AccessionCheck, before_transfer=True)
