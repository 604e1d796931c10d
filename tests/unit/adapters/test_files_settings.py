"""A folder named by a URL."""

from __future__ import annotations

from pathlib import Path

import pytest

from vna_lifecycle.adapters.files.settings import files_from_url


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("files:/mnt/export", "/mnt/export"),
        ("files:export/cd1", "export/cd1"),
        ("files:///mnt/export", "/mnt/export"),
        ("files:/mnt/100%25%20sure", "/mnt/100% sure"),
    ],
)
def test_a_url_names_a_path(url: str, path: str) -> None:
    assert files_from_url(url).path == Path(path)


@pytest.mark.parametrize("url", ["files:", "files://host/share", "file:/mnt", "files:/mnt?x=1", "files:/mnt#x"])
def test_a_url_that_means_something_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="files:PATH"):
        files_from_url(url)
