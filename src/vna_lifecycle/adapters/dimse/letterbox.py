"""Where answers to requests for storage commitment are kept, for whoever takes the work up again (PS3.4 J.3.3)."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Final

from vna_lifecycle.adapters.dimse.wire import CommitmentReport

_KEPT: Final = 90 * 86_400
"""Seconds after which an answer is of no interest any more."""


class Letterbox:
    """Requests and their answers, in files whose names tell nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def expect(self, transaction: str) -> None:
        """A request is about to be made: its answer will be taken. Answers of long ago are thrown away."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        oldest = time.time() - _KEPT
        for path in self._folder.iterdir():
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
        self._path(transaction, "asked").touch()

    def take(self, report: CommitmentReport) -> bool:
        """Keep an answer, durably; False where nobody asked."""
        if not self._path(report.transaction, "asked").exists():
            return False
        content = {
            "committed": [one.sop_instance_uid for one in report.committed],
            "failed": {one.sop_instance_uid: one.reason for one in report.failed},
        }
        path = self._path(report.transaction, "answer")
        part = path.with_suffix(".part")
        with part.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return True

    def answer(self, transaction: str) -> tuple[frozenset[str], dict[str, int]] | None:
        """The UIDs of what was committed to, and the failure reasons of the rest; None while there is no answer."""
        try:
            content = json.loads(self._path(transaction, "answer").read_text())
        except FileNotFoundError:
            return None
        return frozenset(content["committed"]), content["failed"]

    def _path(self, transaction: str, kind: str) -> Path:
        return self._folder / f"{hashlib.sha256(transaction.encode()).hexdigest()[:32]}.{kind}"
