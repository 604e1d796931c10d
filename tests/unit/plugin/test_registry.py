import attrs
import pytest

from vna_lifecycle.errors import PluginError
from vna_lifecycle.model.finding import Finding
from vna_lifecycle.plugin import Provider, Registry
from vna_lifecycle.ports import Archive, Site, StudyCase


@attrs.frozen(kw_only=True)
class Settings:
    host: str = "localhost"


@attrs.frozen(kw_only=True)
class Clashing:
    plugin: str = ""


class Silent:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def examine(self, case: StudyCase) -> list[Finding]:
        return []


def open_nothing(settings: Settings, site: Site) -> Archive:
    raise AssertionError("listing plug-ins opens none")


def from_url(url: str) -> Settings:
    return Settings(host=url.partition(":")[2])


ACME, OTHER = Provider(name="acme", version="1.2"), Provider(name="other", version="3")


def test_an_archive_is_found_by_its_name_and_its_schemes_with_who_brought_it() -> None:
    registry = Registry()
    registry.on_behalf_of(ACME).archive("acme-vna", Settings, open_nothing, schemes=("acme",), from_url=from_url)

    plugin = registry.archives["acme-vna"]
    assert (plugin.settings, plugin.open, plugin.provider) == (Settings, open_nothing, ACME)
    assert registry.schemes["acme"] is plugin
    assert registry.provider != ACME


def test_a_check_is_found_by_its_name_and_made_from_its_settings() -> None:
    registry = Registry()
    registry.on_behalf_of(ACME).check("overlays", Settings, Silent)

    check = registry.checks["overlays"]
    assert check.provider == ACME
    assert isinstance(check.factory(Settings(host="x")), Silent)


def test_an_archive_and_a_check_may_have_the_same_name() -> None:
    registry = Registry()
    registry.archive("acme", Settings, open_nothing)
    registry.check("acme", Settings, Silent)
    assert list(registry.archives) == list(registry.checks) == ["acme"]


def test_a_name_that_is_taken_names_both_distributions() -> None:
    registry = Registry()
    registry.on_behalf_of(ACME).archive("vna", Settings, open_nothing)
    with pytest.raises(PluginError, match=r"archive 'vna' .* acme 1\.2 .* other 3"):
        registry.on_behalf_of(OTHER).archive("vna", Settings, open_nothing)
    registry.on_behalf_of(ACME).check("vna", Settings, Silent)
    with pytest.raises(PluginError, match=r"check 'vna' .* acme 1\.2 .* other 3"):
        registry.on_behalf_of(OTHER).check("vna", Settings, Silent)


def test_a_scheme_that_is_taken_names_both_distributions() -> None:
    registry = Registry()
    registry.on_behalf_of(ACME).archive("one", Settings, open_nothing, schemes=("vna",), from_url=from_url)
    with pytest.raises(PluginError, match=r"URL scheme 'vna' .* acme 1\.2 .* other 3"):
        registry.on_behalf_of(OTHER).archive("two", Settings, open_nothing, schemes=("vna",), from_url=from_url)


@pytest.mark.parametrize("name", ["", "Acme", "acme vna", "-acme", "acme-", "acme--vna", "acme.vna", "acme\n", "1acme"])
def test_a_name_is_lower_case_words_joined_by_hyphens(name: str) -> None:
    with pytest.raises(PluginError, match="lower case words"):
        Registry().archive(name, Settings, open_nothing)
    with pytest.raises(PluginError, match="lower case words"):
        Registry().check(name, Settings, Silent)


@pytest.mark.parametrize("scheme", ["c", "Acme", "a:", "a/b", "", "1a"])
def test_a_scheme_is_one_of_rfc_3986_and_no_drive_letter(scheme: str) -> None:
    with pytest.raises(PluginError, match="no URL scheme"):
        Registry().archive("acme", Settings, open_nothing, schemes=(scheme,), from_url=from_url)


def test_schemes_and_their_reader_go_together() -> None:
    with pytest.raises(PluginError, match="go together"):
        Registry().archive("acme", Settings, open_nothing, schemes=("acme",))
    with pytest.raises(PluginError, match="go together"):
        Registry().archive("acme", Settings, open_nothing, from_url=from_url)


def test_settings_are_an_attrs_class_without_the_key_that_names_the_plugin() -> None:
    with pytest.raises(PluginError, match="no attrs class"):
        Registry().archive("acme", dict, lambda settings, site: open_nothing(Settings(), site))
    with pytest.raises(PluginError, match="reserved key: plugin"):
        Registry().archive("acme", Clashing, lambda settings, site: open_nothing(Settings(), site))


def test_the_collected_plugins_cannot_be_changed_from_outside() -> None:
    registry = Registry()
    registry.archive("acme", Settings, open_nothing)
    with pytest.raises(TypeError):
        registry.archives["other"] = registry.archives["acme"]  # type: ignore[index]  # that is what is tested
