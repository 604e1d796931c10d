from pathlib import Path
from urllib.parse import quote

import attrs
import pytest

from vna_lifecycle.config import parse_archive_url
from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.plugin import Registry
from vna_lifecycle.ports import Archive, Site


@attrs.frozen(kw_only=True)
class Place:
    text: str


def open_nothing(settings: Place, site: Site) -> Archive:
    raise AssertionError("a URL opens nothing")


def place(url: str) -> Place:
    if url.endswith("!"):
        raise ValueError("it ends with an exclamation mark")
    return Place(text=url)


@pytest.fixture(name="registry")
def registry_fixture() -> Registry:
    registry = Registry()
    registry.archive("files", Place, open_nothing, schemes=("files",), from_url=place)
    registry.archive("web", Place, open_nothing, schemes=("http", "https"), from_url=place)
    return registry


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("files:/x", "files"),
        ("https://vna.example/dicom-web", "web"),
        ("HTTP://x", "web"),
        ("files:rel/ative", "files"),
    ],
)
def test_the_scheme_decides_and_the_plugin_reads_the_whole_url(registry: Registry, url: str, name: str) -> None:
    plugin, settings = parse_archive_url(url, registry)
    assert plugin is registry.archives[name]
    assert settings == Place(text=url)


@pytest.mark.parametrize("name", ["plain", "a:b", "50% of#it?", "ümlaut"])
def test_an_existing_folder_needs_no_scheme(registry: Registry, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    plugin, settings = parse_archive_url(str(tmp_path / name), registry)
    assert plugin is registry.archives["files"]
    assert settings == Place(text=f"files:{quote(str(tmp_path / name))}")


def test_what_is_neither_is_told_with_the_schemes_there_are(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match="neither") as caught:
        parse_archive_url("not/there", registry)
    assert "files, http, https" in caught.value.hint
    with pytest.raises(ConfigurationError, match="did you mean 'https'"):
        parse_archive_url("htps://x", registry)
    with pytest.raises(ConfigurationError):
        parse_archive_url("", registry)


def test_a_url_that_the_plugin_cannot_read_is_told_with_its_reason(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match="exclamation mark"):
        parse_archive_url("files:/x!", registry)


def test_no_plugin_for_a_folder_is_an_error_and_no_guess(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="files:") as caught:
        parse_archive_url(str(tmp_path), Registry())
    assert "none is installed" in caught.value.hint
