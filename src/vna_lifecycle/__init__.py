"""Move a clinical image archive as a staged, proved program, and govern its images until their lawful end.

The names here are the ones to hold on to; each is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from vna_lifecycle._version import __version__

if TYPE_CHECKING:
    from vna_lifecycle.engine.compare import ArchiveComparison
    from vna_lifecycle.engine.progress import Progress
    from vna_lifecycle.engine.status import Status
    from vna_lifecycle.engine.transfer_result import TransferResult
    from vna_lifecycle.errors import ConfigurationError, DicomRefused, VnaLifecycleError
    from vna_lifecycle.model.finding import Finding, Severity
    from vna_lifecycle.model.identity import PatientKey, StudyRef
    from vna_lifecycle.model.inventory import Digest, InstanceRecord, Manifest, Rung, StudyRecord
    from vna_lifecycle.model.lifecycle import MigrationState
    from vna_lifecycle.model.wave import StudyFilter, Wave, WavePlan, WavePolicy
    from vna_lifecycle.plugin import Registry, impl
    from vna_lifecycle.ports import Archive
    from vna_lifecycle.program import Program, compare

_HOMES = {
    "Archive": "ports",
    "ArchiveComparison": "engine.compare",
    "ConfigurationError": "errors",
    "DicomRefused": "errors",
    "Digest": "model.inventory",
    "Finding": "model.finding",
    "InstanceRecord": "model.inventory",
    "Manifest": "model.inventory",
    "MigrationState": "model.lifecycle",
    "PatientKey": "model.identity",
    "Program": "program",
    "Progress": "engine.progress",
    "Registry": "plugin",
    "Rung": "model.inventory",
    "Severity": "model.finding",
    "Status": "engine.status",
    "StudyFilter": "model.wave",
    "StudyRecord": "model.inventory",
    "StudyRef": "model.identity",
    "TransferResult": "engine.transfer_result",
    "VnaLifecycleError": "errors",
    "Wave": "model.wave",
    "WavePlan": "model.wave",
    "WavePolicy": "model.wave",
    "compare": "program",
    "impl": "plugin",
}

__all__ = [
    "Archive",
    "ArchiveComparison",
    "ConfigurationError",
    "DicomRefused",
    "Digest",
    "Finding",
    "InstanceRecord",
    "Manifest",
    "MigrationState",
    "PatientKey",
    "Program",
    "Progress",
    "Registry",
    "Rung",
    "Severity",
    "Status",
    "StudyFilter",
    "StudyRecord",
    "StudyRef",
    "TransferResult",
    "VnaLifecycleError",
    "Wave",
    "WavePlan",
    "WavePolicy",
    "__version__",
    "compare",
    "impl",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
