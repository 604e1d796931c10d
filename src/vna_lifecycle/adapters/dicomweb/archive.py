"""Opening a DICOMweb archive."""

from __future__ import annotations

from typing import Final

from vna_lifecycle.adapters.dicomweb.connection import Connection
from vna_lifecycle.adapters.dicomweb.probing import Probing
from vna_lifecycle.adapters.dicomweb.reading import Reader
from vna_lifecycle.adapters.dicomweb.searching import Search
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.adapters.dicomweb.storing import Store
from vna_lifecycle.adapters.dicomweb.trouble import TooBroad
from vna_lifecycle.ports import Archive, Site

_LONG_AGO: Final = "19000101"


def open_archive(settings: DicomwebSettings, site: Site) -> Archive:
    """Open an archive, and see that it answers a search. DICOMweb has no way to take copies back.

    Raises:
        ArchiveUnreachable: nobody answers.
        ArchiveRefused: it would not have us, or there is no DICOMweb service at the URL.
        ConfigurationError: a secret or a certificate cannot be used.
    """
    connection = Connection(settings, site)
    search = Search(connection)
    try:
        try:
            search.page(["studies"], {}, (), limit=1)
        except TooBroad:  # as archives say it that heed no limit
            search.page(["studies"], {"StudyDate": _LONG_AGO}, (), limit=1)
    except BaseException:
        connection.close()
        raise
    reader = Reader(connection)
    return Archive(reads=reader, stores=Store(connection, reader), probes=Probing(reader))
