"""Real files: those in pydicom's wheel, and which of them pydicom reads on its own."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.errors import InvalidDicomError

ROOT = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture(scope="session")
def wheel() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def every_file() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def read_with_pydicom() -> Callable[[Path], pydicom.FileDataset]:
    def read(path: Path) -> pydicom.FileDataset:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path)

    return read


@pytest.fixture(scope="session")
def readable(every_file: list[Path], read_with_pydicom: Callable[[Path], pydicom.FileDataset]) -> list[Path]:
    """The files that pydicom reads on its own, without ``force``."""
    found = []
    for path in every_file:
        try:
            read_with_pydicom(path)
        except InvalidDicomError:
            continue
        found.append(path)
    return found


@pytest.fixture(scope="session")
def dcmtk() -> Callable[[str], str]:
    """The path of a dcmtk program; a failure in CI and a skip elsewhere if it is missing."""

    def find(name: str) -> str:
        program = shutil.which(name)
        if program is None:
            if os.environ.get("CI"):
                pytest.fail(f"{name} is not installed")
            pytest.skip(f"{name} is not installed")
        return program

    return find
