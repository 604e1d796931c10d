"""Finding and loading plug-ins. A plug-in that cannot be loaded stops the program: it may be what guards a wave."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

import pluggy
from attrs import frozen

from vna_lifecycle.errors import PluginError
from vna_lifecycle.model.event import RecordedEvent
from vna_lifecycle.plugin.hooks import ENTRY_POINT_GROUP, Hooks
from vna_lifecycle.plugin.registry import Provider, Registry

_logger = logging.getLogger(__name__)


@frozen(kw_only=True)
class Plugins:
    """The plug-ins of one program: what they registered, who they are, and a way to tell them of events."""

    registry: Registry
    versions: tuple[tuple[str, str], ...]
    _manager: pluggy.PluginManager
    _providers: dict[str, Provider]

    @property
    def listening(self) -> bool:
        """Whether any plug-in wants to be told of events."""
        return bool(self._manager.hook.vna_lifecycle_event.get_hookimpls())

    def notify(self, event: RecordedEvent) -> None:
        """Tell every plug-in of an event in the ledger. One that raises is logged, and the others are still told."""
        for hook in self._manager.hook.vna_lifecycle_event.get_hookimpls():
            try:
                hook.function(event)
            except Exception as exc:  # noqa: BLE001 - whatever a plug-in does wrong, the program goes on
                # The exception's message is the plug-in's own and may name patients, so it stays out of the log.
                place = traceback.extract_tb(exc.__traceback__)[-1]
                _logger.error(
                    "plug-in %s failed on event %d (%s): %s at %s:%s",
                    self._providers[hook.plugin_name],
                    event.sequence,
                    event.event.kind,
                    type(exc).__name__,
                    place.filename,
                    place.lineno,
                )


def load_plugins(extra: Sequence[object] = ()) -> Plugins:
    """Load every installed plug-in, and the objects in ``extra``, into a registry of their own.

    Args:
        extra: Modules, or objects whose attributes are functions marked with ``impl``; for tests and for programs that
            bring a plug-in without packaging it.

    Raises:
        PluginError: a plug-in cannot be imported, implements no hook or a wrong one, or clashes with another. The
            message names its distribution and version.
    """
    manager = pluggy.PluginManager(ENTRY_POINT_GROUP)
    manager.add_hookspecs(Hooks)
    providers: dict[str, Provider] = {}
    # pluggy's own loader skips the second of two distributions with the same entry-point name: names are qualified here
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: (_provider_of(point), point.name)):
        provider = _provider_of(point)
        _add(manager, providers, provider, f"{provider.name}:{point.name}", _imported(point, provider))
    for number, plugin in enumerate(extra, 1):
        title = str(getattr(plugin, "__name__", type(plugin).__name__))
        _add(manager, providers, Provider(name=title), f"{title}:{number}", plugin)

    try:
        manager.check_pending()
    except pluggy.PluginValidationError as exc:
        raise _misfit(providers[_name_of(manager, exc.plugin)], exc) from exc
    registry = Registry()
    for hook in manager.hook.vna_lifecycle_register.get_hookimpls():
        provider = providers[hook.plugin_name]
        try:
            hook.function(registry.on_behalf_of(provider))
        except PluginError:
            raise
        except Exception as exc:
            raise PluginError(
                f"plug-in {provider} failed while it registered: {type(exc).__name__}: {exc}",
                hint=f"repair or uninstall {provider.name}",
            ) from exc
    versions = sorted({(provider.name, provider.version) for provider in providers.values()})
    return Plugins(registry=registry, versions=tuple(versions), manager=manager, providers=providers)


def _provider_of(point: EntryPoint) -> Provider:
    return Provider(name=point.dist.name, version=point.dist.version) if point.dist else Provider(name=point.value)


def _imported(point: EntryPoint, provider: Provider) -> object:
    try:
        return point.load()
    except Exception as exc:
        raise PluginError(
            f"plug-in {provider} ({point.name} = {point.value}) cannot be imported: {type(exc).__name__}: {exc}",
            hint=f"repair or uninstall {provider.name}",
        ) from exc


def _add(
    manager: pluggy.PluginManager, providers: dict[str, Provider], provider: Provider, name: str, plugin: object
) -> None:
    try:
        manager.register(plugin, name=name)
    except (ValueError, pluggy.PluginValidationError) as exc:
        raise _misfit(provider, exc) from exc
    providers[name] = provider
    hooks = manager.get_hookcallers(plugin) or []
    if not hooks:
        raise PluginError(
            f"plug-in {provider} implements no hook",
            hint="mark its vna_lifecycle_register function with @vna_lifecycle.plugin.impl",
        )
    implemented = {hook.name for hook in hooks}
    for hook in hooks:
        for implementation in hook.get_hookimpls():
            spec = hook.spec
            if implementation.plugin is plugin and spec is not None and implementation.argnames != spec.argnames:
                raise PluginError(f"plug-in {provider}: {hook.name} must take ({', '.join(spec.argnames)})")
    for forgotten in sorted({name for name in dir(Hooks) if not name.startswith("__")} - implemented):
        if hasattr(plugin, forgotten):
            raise PluginError(f"plug-in {provider}: {forgotten} is not marked with @impl, so it would never be called")


def _misfit(provider: Provider, problem: Exception) -> PluginError:
    """The error for what pluggy does not take; the last of its several lines is the one that says why."""
    hooks = " and ".join(sorted(name for name in dir(Hooks) if not name.startswith("__")))
    return PluginError(
        f"plug-in {provider}: {'; '.join(str(problem).splitlines())}",
        hint=f"the hooks are {hooks}, with their arguments",
    )


def _name_of(manager: pluggy.PluginManager, plugin: object) -> str:
    return manager.get_name(plugin) or ""
