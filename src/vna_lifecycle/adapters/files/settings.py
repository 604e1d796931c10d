"""What a folder archive needs to be told, apart from the code that opens it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from attrs import field, frozen


@frozen(kw_only=True)
class FilesSettings:
    """A folder: any tree of DICOM files, or a store that this program wrote or shall write.

    As a target it must be empty, or a store already; its file system must have hard links.
    """

    in_place: ClassVar[bool] = True

    path: Path = field(
        metadata={"help": "The folder. It must exist: an unmounted disk shall not be filled by mistake."}
    )


def files_from_url(url: str) -> FilesSettings:
    """Settings from ``files:PATH``, where the path is absolute or relative to the working directory.

    Raises:
        ValueError: the URL names no path, or a host.
    """
    scheme, host, path, query, fragment = urlsplit(url)
    if scheme != "files" or host or query or fragment or not path:
        raise ValueError("a folder archive is written files:PATH, such as files:/mnt/export")
    return FilesSettings(path=Path(unquote(path)))
