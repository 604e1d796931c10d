"""The author's doorway: what a package needs to bring in an archive or a check of its own.

A plug-in is a module that an entry point of the group ``vna_lifecycle`` names. Its hooks are marked with `impl`; what
they implement is in ``vna_lifecycle.ports``.
"""

from vna_lifecycle.plugin.discovery import Plugins, load_plugins
from vna_lifecycle.plugin.hooks import ENTRY_POINT_GROUP, impl
from vna_lifecycle.plugin.registry import ArchivePlugin, CheckPlugin, Provider, Registry, WaveCheckPlugin
from vna_lifecycle.plugin.secret import SecretReference

__all__ = [
    "ENTRY_POINT_GROUP",
    "ArchivePlugin",
    "CheckPlugin",
    "Plugins",
    "Provider",
    "Registry",
    "SecretReference",
    "WaveCheckPlugin",
    "impl",
    "load_plugins",
]
