"""Opening a data store as an archive."""

from __future__ import annotations

import time
from collections.abc import Callable

from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.board import Board
from vna_lifecycle.adapters.healthimaging.costs import Costs
from vna_lifecycle.adapters.healthimaging.erasure import Erasure
from vna_lifecycle.adapters.healthimaging.imports import Imports
from vna_lifecycle.adapters.healthimaging.leftovers import Leftovers
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.adapters.healthimaging.looking import FrameLooks
from vna_lifecycle.adapters.healthimaging.notices import Notices
from vna_lifecycle.adapters.healthimaging.probing import Probing
from vna_lifecycle.adapters.healthimaging.reading import Reader
from vna_lifecycle.adapters.healthimaging.remedy import Remedies
from vna_lifecycle.adapters.healthimaging.retrieval import Retrieval
from vna_lifecycle.adapters.healthimaging.settings import HealthImagingSettings
from vna_lifecycle.adapters.healthimaging.staging import Stager
from vna_lifecycle.adapters.healthimaging.withdrawal import Withdrawal
from vna_lifecycle.ports import Archive, Site


def open_archive(
    settings: HealthImagingSettings, site: Site, *, pause: Callable[[float], None] = time.sleep
) -> Archive:
    """Open a data store; nothing is sent yet. ``pause`` waits, where changes must keep to a pace.

    Raises:
        ConfigurationError: credentials that the settings refer to cannot be found.
        ArchiveRefused: no such profile.
    """
    access = Access(settings, site, pause)
    library, retrieval, notices = Library(access), Retrieval(access), Notices(access)
    return Archive(
        reads=Reader(access, library, retrieval),
        imports=Imports(access, Stager(access, library, retrieval), notices),
        jobs=Board(access),
        probes=Probing(access, library, retrieval),
        staged=Leftovers(access),
        frames=FrameLooks(access, library),
        admits=Remedies(access, library),
        withdraws=Withdrawal(access, library, retrieval),
        erases=Erasure(access, library),
        costs=Costs(),
    )
