"""An archive named by one word, as ``files:/export`` or ``https://vna.example/dicom-web``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

from vna_lifecycle.config.scalars import did_you_mean
from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.plugin import ArchivePlugin, Registry

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


def parse_archive_url(text: str, registry: Registry) -> tuple[ArchivePlugin, object]:
    """The kind of archive that ``text`` means, and its settings. An existing folder needs no ``files:`` before it.

    Raises:
        ConfigurationError: no installed plug-in knows the scheme, or the URL is not one that it can use.
    """
    match = _SCHEME.match(text)
    scheme = match[1].lower() if match else ""
    if scheme not in registry.schemes and text and Path(text).is_dir():
        text, scheme = f"files:{quote(text)}", "files"
    if not scheme:
        raise ConfigurationError(
            f"{text!r} is neither an existing folder nor an archive's URL", hint=f"schemes: {_known(registry)}"
        )
    plugin = registry.schemes.get(scheme)
    if plugin is None or plugin.from_url is None:
        raise ConfigurationError(
            f"no installed plug-in knows archives by {scheme}:{did_you_mean(scheme, registry.schemes)}",
            hint=f"schemes: {_known(registry)}",
        )
    try:
        return plugin, plugin.from_url(text)
    except (ValueError, TypeError) as exc:
        reason = exc.args[0] if exc.args else type(exc).__name__
        raise ConfigurationError(f"this URL of an archive ({plugin.name}) cannot be used: {reason}") from exc


def _known(registry: Registry) -> str:
    return ", ".join(sorted(registry.schemes)) or "none is installed"
