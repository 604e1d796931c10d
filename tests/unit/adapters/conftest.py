"""What tests of adapters share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vna_lifecycle.adapters.files.settings import FilesSettings
from vna_lifecycle.builtin import open_files
from vna_lifecycle.ports import Archive
from vna_lifecycle.testing.conformance import site


@pytest.fixture
def store_folder(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def open_folder(tmp_path: Path) -> Callable[[Path], Archive]:
    """Opens a folder as an archive."""
    return lambda folder: open_files(FilesSettings(path=folder), site(tmp_path))
