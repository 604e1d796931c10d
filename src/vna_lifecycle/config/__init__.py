"""program.toml: what it takes, what it says, and everything that is wrong with it at once."""

from vna_lifecycle.config.describe import Setting, describe
from vna_lifecycle.config.load import load_config
from vna_lifecycle.config.secret import resolve_secret
from vna_lifecycle.config.template import template
from vna_lifecycle.config.url import parse_archive_url
from vna_lifecycle.config.values import (
    AcceptanceConfig,
    ArchiveConfig,
    BeyondDicom,
    Config,
    Engine,
    ExecutionConfig,
    MigrationConfig,
    Person,
    SourceConfig,
    Stratum,
)

__all__ = [
    "AcceptanceConfig",
    "ArchiveConfig",
    "BeyondDicom",
    "Config",
    "Engine",
    "ExecutionConfig",
    "MigrationConfig",
    "Person",
    "Setting",
    "SourceConfig",
    "Stratum",
    "describe",
    "load_config",
    "parse_archive_url",
    "resolve_secret",
    "template",
]
