"""Secrets as settings hold them: where to find one, never the secret itself."""

from __future__ import annotations

from typing import NewType

SecretReference = NewType("SecretReference", str)
"""``env:NAME`` or ``file:PATH``. Give a setting this type, and resolve it with ``Site.secret`` where it is used."""
