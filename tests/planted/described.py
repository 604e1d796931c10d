"""What every built-in check says of itself."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from vna_lifecycle import checks
from vna_lifecycle.checks.about import About


def abouts() -> list[About]:
    """The `About` of each module of checks, by the check's name."""
    modules = [import_module(f"{checks.__name__}.{found.name}") for found in pkgutil.iter_modules(checks.__path__)]
    return sorted((module.ABOUT for module in modules if hasattr(module, "ABOUT")), key=lambda about: about.check)
