"""Our own entry point: registers the built-ins exactly as any plug-in would. Imported by nobody."""

from __future__ import annotations

from vna_lifecycle.plugin import Registry, impl


@impl
def vna_lifecycle_register(registry: Registry) -> None:
    """Register every built-in archive and check."""
