import logging
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import attrs
import pytest

from vna_lifecycle.errors import PluginError
from vna_lifecycle.model.event import LeaseTaken, RecordedEvent
from vna_lifecycle.plugin import Registry, impl, load_plugins
from vna_lifecycle.ports import Archive, Site

Install = Callable[..., None]


@attrs.frozen(kw_only=True)
class Settings:
    host: str = ""


def open_nothing(settings: Settings, site: Site) -> Archive:
    raise AssertionError("nothing is opened here")


@impl
def vna_lifecycle_register(registry: Registry) -> None:
    registry.archive("mine", Settings, open_nothing)


EVENT = RecordedEvent(
    sequence=7,
    time="2025-01-01T00:00:00.000000Z",
    actor="service",
    key="k",
    event=LeaseTaken(epoch=1, verb="transfer", software="0", plugins=()),
    leaf="",
)


def listener(name: str, function: Callable[[RecordedEvent], None]) -> object:
    @impl
    def vna_lifecycle_event(event: RecordedEvent) -> None:
        function(event)

    return SimpleNamespace(__name__=name, vna_lifecycle_event=vna_lifecycle_event)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution of one module, as an installer lays it out."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def install(distribution: str, module: str, source: str, *, version: str = "1.0", point: str = "it") -> None:
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[vna_lifecycle]\n{point} = {module}\n")

    return install


GOOD = """
    from vna_lifecycle.plugin import Registry, impl
    import attrs

    @attrs.frozen
    class S: ...

    @impl
    def vna_lifecycle_register(registry: Registry) -> None:
        registry.archive("{name}", S, lambda settings, site: None)
"""


def test_the_built_ins_are_a_plugin_like_any_other() -> None:
    plugins = load_plugins()
    assert "vna-lifecycle" in dict(plugins.versions)


def test_an_installed_distribution_registers_and_its_version_is_known(install: Install) -> None:
    install("acme-vna", "acme_one", GOOD.format(name="acme-vna"), version="2.5")
    plugins = load_plugins()
    assert ("acme-vna", "2.5") in plugins.versions
    assert str(plugins.registry.archives["acme-vna"].provider) == "acme-vna 2.5"


def test_two_distributions_whose_entry_points_have_one_name_are_both_loaded(install: Install) -> None:
    install("acme-a", "acme_a", GOOD.format(name="acme-a"), point="same")
    install("acme-b", "acme_b", GOOD.format(name="acme-b"), point="same")
    assert {"acme-a", "acme-b"} <= set(load_plugins().registry.archives)


def test_each_load_gives_a_registry_of_its_own() -> None:
    with_mine = load_plugins([sys.modules[__name__]])
    assert "mine" in with_mine.registry.archives
    assert "mine" not in load_plugins().registry.archives


def test_an_object_that_was_passed_in_is_named_in_the_versions() -> None:
    assert (__name__, "") in load_plugins([sys.modules[__name__]]).versions


def test_a_clash_between_distributions_names_both(install: Install) -> None:
    install("acme-a", "acme_a", GOOD.format(name="vna"), version="1")
    install("acme-b", "acme_b", GOOD.format(name="vna"), version="2")
    with pytest.raises(PluginError, match=r"'vna' .*acme-a 1 .*acme-b 2"):
        load_plugins()


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import not_there_at_all", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("raise RuntimeError('no licence')", "no licence"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named_with_the_cause(install: Install, source: str, cause: str) -> None:
    install("acme-broken", "acme_broken", source, version="0.3")
    with pytest.raises(PluginError, match=r"acme-broken 0\.3") as caught:
        load_plugins()
    assert cause in str(caught.value)
    assert "uninstall acme-broken" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("x = 1", "implements no hook"),
        ("def vna_lifecycle_register(registry): ...", "implements no hook"),
        (
            """
            from vna_lifecycle.plugin import impl
            @impl
            def vna_lifecycle_register(registry): ...
            def vna_lifecycle_event(event): ...
            """,
            "vna_lifecycle_event is not marked",
        ),
        (
            """
            from vna_lifecycle.plugin import impl
            @impl
            def vna_lifecycle_regster(registry): ...
            @impl
            def vna_lifecycle_event(event): ...
            """,
            "unknown hook 'vna_lifecycle_regster'",
        ),
        (
            """
            from vna_lifecycle.plugin import impl
            @impl
            def vna_lifecycle_register(reg): ...
            """,
            r"Argument\(s\) \{'reg'\} are declared",
        ),
        (
            """
            from vna_lifecycle.plugin import impl
            @impl
            def vna_lifecycle_register(): ...
            """,
            r"must take \(registry\)",
        ),
        (
            """
            from vna_lifecycle.plugin import impl
            @impl
            def vna_lifecycle_register(registry): 1 / 0
            """,
            "failed while it registered: ZeroDivisionError",
        ),
    ],
)
def test_a_plugin_that_does_not_fit_is_named_with_what_is_wrong(install: Install, source: str, complaint: str) -> None:
    install("acme-odd", "acme_odd", source)
    with pytest.raises(PluginError, match=complaint) as caught:
        load_plugins()
    assert "acme-odd 1.0" in str(caught.value)
    assert "\n" not in str(caught.value)  # the command line tells the first line of an error


def test_the_hooks_that_there_are_are_told_where_one_is_misspelt(install: Install) -> None:
    install("acme-odd", "acme_odd", "from vna_lifecycle.plugin import impl\n@impl\ndef vna_lifecycle_event(e): ...")
    with pytest.raises(PluginError) as caught:
        load_plugins()
    assert caught.value.hint == "the hooks are vna_lifecycle_event and vna_lifecycle_register, with their arguments"


def test_the_same_object_twice_is_an_error() -> None:
    with pytest.raises(PluginError):
        load_plugins([sys.modules[__name__], sys.modules[__name__]])


def test_every_listener_is_told_of_an_event_although_another_one_raises(caplog: pytest.LogCaptureFixture) -> None:
    told: list[RecordedEvent] = []

    def fail(event: RecordedEvent) -> None:
        raise ValueError("DOE^JANE could not be written to the ticket")

    plugins = load_plugins([listener("a", told.append), listener("bad", fail), listener("c", told.append)])
    with caplog.at_level(logging.DEBUG):
        plugins.notify(EVENT)

    assert told == [EVENT, EVENT]
    [record] = caplog.records
    assert "bad" in record.getMessage()
    assert "ValueError" in record.getMessage()
    assert "lease-taken" in record.getMessage()
    assert "DOE" not in caplog.text


def test_a_listener_may_not_stop_the_program_but_an_operator_may() -> None:
    def interrupt(event: RecordedEvent) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_plugins([listener("a", interrupt)]).notify(EVENT)


def test_a_module_made_by_hand_is_a_plugin() -> None:
    module = ModuleType("by_hand")
    module.vna_lifecycle_register = vna_lifecycle_register  # type: ignore[attr-defined]  # what a module's source would do
    assert "mine" in load_plugins([module]).registry.archives
