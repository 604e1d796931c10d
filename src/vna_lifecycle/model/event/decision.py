"""What people decide."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen


@frozen(kw_only=True)
class ContentChosen:
    """A person decided which of several contents under one SOP Instance UID is the true one."""

    kind: ClassVar[str] = "content-chosen"
    version: ClassVar[int] = 1
    study: str
    instance: str
    content: str
    by: str
    reason: str


@frozen(kw_only=True)
class WavePaused:
    """Work on a wave (``""``: on all) shall stop: no new study is begun, those in flight are finished."""

    kind: ClassVar[str] = "wave-paused"
    version: ClassVar[int] = 1
    wave: str
    by: str
    reason: str


@frozen(kw_only=True)
class WaveResumed:
    """Work on a wave (``""``: on all) may go on."""

    kind: ClassVar[str] = "wave-resumed"
    version: ClassVar[int] = 1
    wave: str
    by: str
    reason: str
