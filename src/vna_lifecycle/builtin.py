"""Our own entry point: registers the built-ins exactly as any plug-in would. Imported by nobody."""

from __future__ import annotations

from vna_lifecycle.adapters.files.settings import FilesSettings, files_from_url
from vna_lifecycle.adapters.s3.settings import S3Settings, s3_from_url
from vna_lifecycle.plugin import Registry, impl
from vna_lifecycle.ports import Archive, Site


@impl
def vna_lifecycle_register(registry: Registry) -> None:
    """Register every built-in archive and check."""
    registry.archive("files", FilesSettings, open_files, schemes=("files",), from_url=files_from_url)
    registry.archive("s3", S3Settings, open_s3, schemes=("s3",), from_url=s3_from_url)


def open_files(settings: FilesSettings, site: Site) -> Archive:
    """Open a folder archive."""
    from vna_lifecycle.adapters.files.archive import open_archive

    return open_archive(settings, site)


def open_s3(settings: S3Settings, site: Site) -> Archive:
    """Open a bucket as an archive."""
    from vna_lifecycle.adapters.s3.archive import open_archive

    return open_archive(settings, site)
