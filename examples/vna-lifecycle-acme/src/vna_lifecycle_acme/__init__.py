"""An archive and a check of an invented vendor, as a plug-in of vna_lifecycle."""

from vna_lifecycle.plugin import Registry, impl
from vna_lifecycle.ports import Archive, Site
from vna_lifecycle_acme.overlays import OverlayCheck
from vna_lifecycle_acme.settings import AcmeSettings, OverlaySettings, acme_from_url


def open_acme(settings: AcmeSettings, site: Site) -> Archive:
    """The vendor's folder, as an archive that can be read."""
    from vna_lifecycle_acme.archive import AcmeSource  # only now: listing plug-ins stays fast

    return Archive(reads=AcmeSource(settings, site))


@impl
def vna_lifecycle_register(registry: Registry) -> None:
    """Bring in the archive and the check."""
    registry.archive("acme", AcmeSettings, open_acme, schemes=("acme",), from_url=acme_from_url)
    registry.check("acme-overlays", OverlaySettings, OverlayCheck)
