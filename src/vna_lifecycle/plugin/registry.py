"""What plug-ins bring, collected with types: a settings class and the function that takes it are tied together."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

import attrs
from attrs import field, frozen

from vna_lifecycle.errors import PluginError
from vna_lifecycle.model.finding import STEPS
from vna_lifecycle.ports import AcceptanceCheck, Archive, Site, WaveCheck

S = TypeVar("S")
_Entry = TypeVar("_Entry", "ArchivePlugin", "CheckPlugin", "WaveCheckPlugin")

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SCHEME: Final = re.compile(
    r"[a-z][a-z0-9+.-]+"
)  # RFC 3986, 3.1; two characters at least, so that no drive letter is one


@frozen(kw_only=True, order=True)
class Provider:
    """The distribution that brings a plug-in; ``version`` is ``""`` for an object that was passed in by hand."""

    name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


@frozen(kw_only=True)
class ArchivePlugin:
    """A kind of archive. ``open`` takes an instance of ``settings``; the registry tied the two together.

    ``from_url`` makes settings from a URL whose scheme is one of ``schemes``, and raises ValueError for a bad one.
    Settings whose attribute ``one_process`` is a text say by it why only one process may open the archive, such as one
    that listens on a port: then a program with worker processes is refused. Settings whose attribute ``in_place`` is
    True say by it that objects are read and written where they lie on this machine, so that its processors and disks
    are the limit. Settings whose attribute ``at_once`` is a number say by it over how many connections their archive
    may be asked at the same time; otherwise its behaviour profile decides.
    """

    name: str
    provider: Provider
    settings: type[object]
    open: Callable[[Any, Site], Archive]
    schemes: tuple[str, ...] = ()
    from_url: Callable[[str], object] | None = None


@frozen(kw_only=True)
class CheckPlugin:
    """An acceptance check of single studies. ``factory`` takes an instance of ``settings``.

    One that is ``sampled`` is shown only the studies of the sample, each as readers are served it.
    """

    name: str
    provider: Provider
    settings: type[object]
    factory: Callable[[Any], AcceptanceCheck]
    sampled: bool = False


@frozen(kw_only=True)
class WaveCheckPlugin:
    """An acceptance check of whole waves. One that runs ``before_transfer`` too holds studies back by its blockers."""

    name: str
    provider: Provider
    settings: type[object]
    factory: Callable[[Any], WaveCheck]
    before_transfer: bool = False


@frozen(kw_only=True)
class Registry:
    """Collects what plug-ins register, and finds it again by name.

    A plug-in sees the registry on behalf of its own distribution (``provider``); all views share their contents.
    """

    provider: Provider = field(default=Provider(name="vna_lifecycle"))
    _archives: dict[str, ArchivePlugin] = field(factory=dict)
    _checks: dict[str, CheckPlugin] = field(factory=dict)
    _wave_checks: dict[str, WaveCheckPlugin] = field(factory=dict)
    _schemes: dict[str, ArchivePlugin] = field(factory=dict)

    @property
    def archives(self) -> Mapping[str, ArchivePlugin]:
        """The kinds of archive by name, as ``plugin = "..."`` in program.toml names them."""
        return MappingProxyType(self._archives)

    @property
    def checks(self) -> Mapping[str, CheckPlugin]:
        """The acceptance checks of single studies by name."""
        return MappingProxyType(self._checks)

    @property
    def wave_checks(self) -> Mapping[str, WaveCheckPlugin]:
        """The acceptance checks of whole waves by name."""
        return MappingProxyType(self._wave_checks)

    @property
    def schemes(self) -> Mapping[str, ArchivePlugin]:
        """The kinds of archive by URL scheme."""
        return MappingProxyType(self._schemes)

    def on_behalf_of(self, provider: Provider) -> Registry:
        """The same registry, whose next entries will bear ``provider``'s name."""
        return attrs.evolve(self, provider=provider)

    def archive(
        self,
        name: str,
        settings: type[S],
        open: Callable[[S, Site], Archive],  # noqa: A002 - the verb of the domain, and never called as the builtin here
        *,
        schemes: Sequence[str] = (),
        from_url: Callable[[str], S] | None = None,
    ) -> None:
        """Register a kind of archive.

        Args:
            name: What ``plugin = "..."`` says in program.toml; lower case words joined by hyphens.
            settings: A frozen attrs class; its fields are the section's keys, their ``help`` metadata what they mean.
            open: Opens an archive with such settings. Import what is heavy inside.
            schemes: URL schemes that mean this kind of archive, such as ``("s3",)``.
            from_url: Makes settings from such a URL; raises ValueError, saying what is wrong, for a bad one.

        Raises:
            PluginError: the name or a scheme is taken or ill-formed, or the settings are no attrs class.
        """
        self._check_settings(name, settings, reserved=("plugin",))
        if bool(schemes) != (from_url is not None):
            raise PluginError(f"archive {name!r} of {self.provider}: schemes and from_url go together")
        plugin = ArchivePlugin(
            name=name, provider=self.provider, settings=settings, open=open, schemes=tuple(schemes), from_url=from_url
        )
        self._add("archive", self._archives, name, plugin)
        for scheme in plugin.schemes:
            if not _SCHEME.fullmatch(scheme):
                raise PluginError(f"archive {name!r} of {self.provider}: {scheme!r} is no URL scheme (RFC 3986, 3.1)")
            self._add("URL scheme", self._schemes, scheme, plugin)

    def check(
        self, name: str, settings: type[S], factory: Callable[[S], AcceptanceCheck], *, sampled: bool = False
    ) -> None:
        """Register an acceptance check of single studies, which ``factory`` makes from an instance of ``settings``.

        It is shown every study, or, if ``sampled``, only those of the sample, each as readers are served it.

        Raises:
            PluginError: the name is taken or ill-formed, or the settings are no attrs class.
        """
        self._check_settings(name, settings, reserved=())
        plugin = CheckPlugin(name=name, provider=self.provider, settings=settings, factory=factory, sampled=sampled)
        self._add_check(name, self._checks, self._wave_checks, plugin)

    def wave_check(
        self, name: str, settings: type[S], factory: Callable[[S], WaveCheck], *, before_transfer: bool = False
    ) -> None:
        """Register an acceptance check of whole waves; with ``before_transfer`` its blockers hold studies back.

        Raises:
            PluginError: the name is taken or ill-formed, or the settings are no attrs class.
        """
        self._check_settings(name, settings, reserved=())
        plugin = WaveCheckPlugin(
            name=name, provider=self.provider, settings=settings, factory=factory, before_transfer=before_transfer
        )
        self._add_check(name, self._wave_checks, self._checks, plugin)

    def _add_check(
        self, name: str, mine: dict[str, _Entry], others: Mapping[str, CheckPlugin | WaveCheckPlugin], plugin: _Entry
    ) -> None:
        if (earlier := others.get(name)) is not None:
            raise self._taken("check", name, earlier.provider)
        if name in STEPS:
            raise PluginError(f"{self.provider} registers check {name!r}: that is what a step's own findings are named")
        self._add("check", mine, name, plugin)

    def _check_settings(self, name: str, settings: type[object], reserved: Sequence[str]) -> None:
        if not _NAME.fullmatch(name):
            raise PluginError(
                f"{self.provider} registers {name!r}: a name is lower case words joined by hyphens",
                hint="such as 'acme-vna'",
            )
        if not attrs.has(settings):
            raise PluginError(
                f"the settings of {name!r} of {self.provider} are no attrs class",
                hint="decorate them with @attrs.frozen(kw_only=True)",
            )
        for attribute in attrs.fields(settings):
            if attribute.alias in reserved:
                raise PluginError(f"the settings of {name!r} of {self.provider} have a reserved key: {attribute.alias}")

    def _add(self, kind: str, entries: dict[str, _Entry], name: str, entry: _Entry) -> None:
        if (earlier := entries.get(name)) is not None:
            raise self._taken(kind, name, earlier.provider)
        entries[name] = entry

    def _taken(self, kind: str, name: str, earlier: Provider) -> PluginError:
        return PluginError(
            f"{kind} {name!r} is registered by {earlier} and again by {self.provider}",
            hint="uninstall one of the two distributions",
        )
