"""Secrets, resolved where and when they are used."""

from __future__ import annotations

import os
from pathlib import Path

from vna_lifecycle.errors import ConfigurationError


def resolve_secret(reference: str, base: Path) -> str:
    """The secret behind ``env:NAME`` or ``file:PATH``; a relative path is relative to ``base``.

    One line break at the end of a file is not part of the secret.

    Raises:
        ConfigurationError: the reference is ill-formed, or there is nothing behind it. Its text never has the secret.
    """
    kind, _, name = reference.partition(":")
    if kind == "env" and name:
        if secret := os.environ.get(name):
            return secret
        raise ConfigurationError(f"the environment variable {name} is not set", hint=f"set {name} and try again")
    if kind == "file" and name:
        path = base / name
        try:
            secret = path.read_bytes().decode().removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError) as exc:  # ValueError: no UTF-8, or a NUL in the path
            reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
            raise ConfigurationError(f"the secret file {path} cannot be read: {reason}") from None
        if secret:
            return secret
        raise ConfigurationError(f"the secret file {path} is empty")
    raise ConfigurationError(
        "a secret must be given as 'env:NAME' or 'file:PATH'",
        hint="put the secret itself into the environment or a file, never into program.toml",
    )
