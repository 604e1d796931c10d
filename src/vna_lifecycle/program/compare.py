"""Comparing two archives without a program: the researcher's one-liner."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.config import parse_archive_url
from vna_lifecycle.engine.compare import ArchiveComparison, compare_archives
from vna_lifecycle.engine.progress import Tell, silent
from vna_lifecycle.execution.spool import SpoolFolder
from vna_lifecycle.plugin import Plugins, load_plugins
from vna_lifecycle.ports import Spool
from vna_lifecycle.program.bench import site, utc_now

RESERVE_BYTES = 1 << 28


def compare(
    a: str | Path,
    b: str | Path,
    *,
    plugins: Plugins | None = None,
    cancelled: threading.Event | None = None,
    progress: Tell = silent,
) -> ArchiveComparison:
    """Compare two archives, each named by a folder or a URL such as ``files:/export``, instance by instance.

    Both are read in full; neither is changed. Working files lie in a temporary folder that is removed at the end.

    Raises:
        ConfigurationError: a name is neither a folder nor a URL that an installed plug-in knows.
        ArchiveError: an archive does not answer.
    """
    plugins = plugins if plugins is not None else load_plugins()
    cancelled = cancelled or threading.Event()
    named = [parse_archive_url(text, plugins.registry) for text in (str(a), str(b))]
    work = Path(tempfile.mkdtemp(prefix="vna-lifecycle-compare-"))
    opened = []
    try:
        for side, (plugin, settings) in zip("ab", named, strict=True):
            opened.append(plugin.open(settings, site(work, side, utc_now, cancelled)))
        catalog = Catalog.open(work / "catalog.db", label=str)
        folder = SpoolFolder(work / "spool", reserve_bytes=RESERVE_BYTES)

        def spool(side: str) -> Spool:
            return folder.task(side)

        try:
            return compare_archives(
                catalog,
                opened[0].reads,
                opened[1].reads,
                spool,
                cancelled=cancelled,
                seconds=time.monotonic,
                tell=progress,
            )
        finally:
            catalog.close()
    finally:
        for archive in opened:
            archive.reads.close()
        shutil.rmtree(work, ignore_errors=True)
