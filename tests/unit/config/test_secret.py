from pathlib import Path

import pytest

from vna_lifecycle.config import resolve_secret
from vna_lifecycle.errors import ConfigurationError


def test_a_secret_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PACS_PASSWORD", " geheim\n")
    assert resolve_secret("env:PACS_PASSWORD", tmp_path) == " geheim\n"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_is_read_from_a_file_without_its_last_line_break(tmp_path: Path, ending: str) -> None:
    (tmp_path / "token").write_bytes(f" geheim\r\n1 {ending}".encode())
    assert resolve_secret("file:token", tmp_path) == " geheim\r\n1 "
    assert resolve_secret(f"file:{tmp_path / 'token'}", Path("/elsewhere")) == " geheim\r\n1 "


def test_nothing_behind_a_reference_is_an_error_that_says_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMPTY", "")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for reference, what in [
        ("env:NOT_THERE", "NOT_THERE is not set"),
        ("env:EMPTY", "EMPTY is not set"),
        ("file:not-there", "cannot be read"),
        ("file:.", "cannot be read"),
        ("file:empty", "is empty"),
        ("file:binary", "not UTF-8"),
        ("file:a\0b", "cannot be read"),
    ]:
        with pytest.raises(ConfigurationError, match=what):
            resolve_secret(reference, tmp_path)


@pytest.mark.parametrize("reference", ["hunter2", "env:", "file:", "", "https://hunter2"])
def test_what_is_no_reference_is_refused_and_not_repeated(tmp_path: Path, reference: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_secret(reference, tmp_path)
    assert "hunter2" not in str(caught.value)
