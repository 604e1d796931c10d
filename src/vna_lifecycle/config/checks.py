"""What no single key can tell: values that contradict one another, or that could never match anything."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

import attrs

from vna_lifecycle.config.scalars import Problem, did_you_mean
from vna_lifecycle.config.values import AcceptanceConfig, ArchiveConfig, Engine, ExecutionConfig
from vna_lifecycle.model.wave import Exclusion, StudyFilter, WavePolicy

_CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}")  # VR CS, PS3.5 6.2
_COUNTS: Final = ("min_instances", "max_instances", "min_bytes", "max_bytes")


def wave_problems(waves: Sequence[tuple[str, WavePolicy]], archives: Collection[str]) -> list[Problem]:
    """Problems of wave policies, each given with its path."""
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for path, wave in waves:
        if not wave.name.strip() or not wave.name.isprintable():
            problems.append((f"{path}.name", "must be printable text, and not empty"))
        if (first := seen.setdefault(wave.name, path)) != path:
            problems.append((f"{path}.name", f"{wave.name!r} is already the name of {first}"))
        for key, cap in (("max_studies", wave.max_studies), ("max_total_bytes", wave.max_total_bytes)):
            if cap is not None and cap < 1:
                problems.append((f"{path}.{key}", "must be at least 1"))
        problems += _filter_problems(path, wave.select, archives)
    return problems


def exclusion_problems(exclusions: Sequence[tuple[str, Exclusion]], archives: Collection[str]) -> list[Problem]:
    """Problems of exclusions, each given with its path."""
    problems: list[Problem] = []
    for path, exclusion in exclusions:
        if not exclusion.reason.strip():
            problems.append((f"{path}.reason", "must not be empty"))
        if exclusion.select == StudyFilter():
            problems.append((path, "states no condition, so it would exclude every study"))
        problems += _filter_problems(path, exclusion.select, archives)
    return problems


def execution_problems(
    execution: ExecutionConfig, archives: Sequence[ArchiveConfig], *, dask_installed: bool
) -> list[Problem]:
    """Problems of the execution section, and of archives that its engine cannot work with."""
    problems: list[Problem] = []
    if execution.engine is not Engine.THREADS:
        problems += [
            ("execution.engine", f"{execution.engine.value!r} cannot work with [archives.{archive.name}]: {why}")
            for archive in archives
            if (why := getattr(archive.settings, "one_process", ""))
        ]
    if execution.engine is Engine.DASK and not dask_installed:
        problems.append(("execution.engine", "'dask' needs the extra: pip install 'vna-lifecycle[dask]'"))
    if execution.windows and execution.time_zone is None:
        problems.append(("execution.time_zone", "windows need a time zone, such as 'Europe/Berlin'"))
    return problems


def acceptance_problems(acceptance: AcceptanceConfig, checks: Collection[str], roles: Collection[str]) -> list[Problem]:
    """Problems of the acceptance section: checks that nobody brings, and roles that nobody has."""
    problems = [
        (f"acceptance.required[{index}]", f"there is no such check{did_you_mean(name, checks)}")
        for index, name in enumerate(acceptance.required)
        if name not in checks
    ]
    problems += [
        (f"acceptance.sign_offs[{index}]", f"nobody in [people] has the role {role!r}{did_you_mean(role, roles)}")
        for index, role in enumerate(acceptance.sign_offs)
        if role not in roles
    ]
    return problems


def _filter_problems(path: str, select: StudyFilter, archives: Collection[str]) -> list[Problem]:
    problems: list[Problem] = []
    problems += [
        (f"{path}.sources[{index}]", f"there is no [archives.{name}]{did_you_mean(name, archives)}")
        for index, name in enumerate(select.sources)
        if name not in archives
    ]
    for key, codes in (("modalities", select.modalities), ("body_parts", select.body_parts)):
        for index, code in enumerate(codes):
            if not _CODE.fullmatch(code):
                tail = f"; did you mean {code.upper()!r}?" if _CODE.fullmatch(code.upper()) else ""
                problems.append((f"{path}.{key}[{index}]", f"{code!r} is no DICOM code string (PS3.5 6.2, CS){tail}"))
    counts: dict[str, int | None] = attrs.asdict(select, filter=lambda attribute, _: attribute.name in _COUNTS)
    problems += [(f"{path}.{key}", "must not be negative") for key, count in counts.items() if (count or 0) < 0]
    for unit in ("instances", "bytes"):
        least, most = counts[f"min_{unit}"], counts[f"max_{unit}"]
        if least is not None and most is not None and least > most:
            problems.append((f"{path}.min_{unit}", f"is greater than max_{unit}: nothing could match"))
    if (studied := select.studied) is not None:
        if studied.first is None and studied.last is None:
            problems.append((f"{path}.studied", "needs `from`, `to` or both"))
        if studied.first is not None and studied.last is not None and studied.first > studied.last:
            problems.append((f"{path}.studied", "`from` is later than `to`: nothing could match"))
        if select.undated:
            problems.append((f"{path}.undated", "contradicts `studied`: an undated study is in no range of dates"))
    return problems
