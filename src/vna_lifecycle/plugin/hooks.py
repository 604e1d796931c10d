"""The two hooks, and the marker whose types make a wrong signature fail in the author's own file."""

from __future__ import annotations

from typing import Final, Protocol, overload

import pluggy

from vna_lifecycle.model.event import RecordedEvent
from vna_lifecycle.plugin.registry import Registry

ENTRY_POINT_GROUP: Final = "vna_lifecycle"
"""The entry-point group, which is also pluggy's project name."""

_spec = pluggy.HookspecMarker(ENTRY_POINT_GROUP)
_impl = pluggy.HookimplMarker(ENTRY_POINT_GROUP)


class RegisterHook(Protocol):
    """The signature of ``vna_lifecycle_register``."""

    def __call__(self, registry: Registry) -> None:
        """Tell ``registry`` everything that this plug-in brings."""
        ...


class EventHook(Protocol):
    """The signature of ``vna_lifecycle_event``."""

    def __call__(self, event: RecordedEvent) -> None:
        """Take notice of an event that is in the ledger."""
        ...


@overload
def impl(function: RegisterHook) -> RegisterHook: ...
@overload
def impl(function: EventHook) -> EventHook: ...
def impl(function: RegisterHook | EventHook) -> RegisterHook | EventHook:
    """Mark a module-level function as this plug-in's implementation of the hook that has its name.

    Accepts ``vna_lifecycle_register(registry: Registry) -> None`` and
    ``vna_lifecycle_event(event: RecordedEvent) -> None``; a type checker refuses anything else, parameter names
    included. A name that is no hook is refused when the plug-in is loaded.
    """
    return _impl(function)


class Hooks:
    """What a plug-in may implement. No hook returns anything, so nothing untyped ever comes back."""

    @staticmethod
    @_spec
    def vna_lifecycle_register(registry: Registry) -> None:
        """Called once, when plug-ins are loaded. Keep it cheap: heavy imports belong inside an ``open`` function."""

    @staticmethod
    @_spec
    def vna_lifecycle_event(event: RecordedEvent) -> None:
        """Called after an event was appended, at least once per event. What it raises is logged and goes no further."""
