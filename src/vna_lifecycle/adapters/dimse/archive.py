"""Opening a PACS or VNA that speaks DIMSE."""

from __future__ import annotations

from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.commitments import Commitments
from vna_lifecycle.adapters.dimse.lobby import Lobby
from vna_lifecycle.adapters.dimse.probing import Probing
from vna_lifecycle.adapters.dimse.reading import Reader
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.adapters.dimse.storing import Store
from vna_lifecycle.ports import Archive, Site


def open_archive(settings: DimseSettings, site: Site) -> Archive:
    """Open an archive: it must answer a C-ECHO. Our own port is opened when something is to arrive there.

    Raises:
        ArchiveUnreachable: nobody answers there, or not with DICOM over TLS.
        ArchiveRefused: it does not want us.
        ConfigurationError: a certificate or key cannot be used.
    """
    caller = Caller(settings, site)
    caller.check()
    lobby = Lobby(settings, site)
    reader = Reader(caller, lobby)
    stores: Store | None = None
    arrivals = lobby.arrivals if settings.retrieve == "push" else None
    if settings.retrieve == "push":
        lobby.open()  # the archive's operator may send at any time; what is stored there could not be read back
    else:
        stores = Store(caller, reader)
    commits = Commitments(caller, lobby) if settings.commitment else None
    probes = Probing(caller, reader, stores)
    return Archive(reads=reader, stores=stores, commits=commits, probes=probes, arrivals=arrivals)
