"""Since when studies are asked for that lie nearline: an archive brings them by and by, and not for ever."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import threading

from vna_lifecycle.ports import Site


class Staging:
    """The studies of one archive that were asked for and lie nearline, kept in a file of its workspace.

    A study's ``patience`` in seconds begins when it was asked for in vain for the first time. It outlives the process,
    since a recall does.
    """

    def __init__(self, site: Site, patience: float) -> None:
        self._clock = site.clock
        self._patience = dt.timedelta(seconds=patience)
        self._place = site.workspace / "staging.json"
        self._lock = threading.Lock()

    def goes_on(self, study_uid: str) -> bool:
        """Whether to ask for a study again later, that was asked for in vain just now.

        Once its patience is at an end it is forgotten, so that whoever asks again begins anew.
        """
        name, now = _name(study_uid), self._clock()
        with self._lock:
            asked = self._read()
            begun = asked.setdefault(name, now)
            going_on = now - begun < self._patience
            if not going_on:
                del asked[name]
            self._write(asked)
            return going_on

    def came(self, study_uid: str) -> None:
        """A study is not waited for any more."""
        with self._lock:
            asked = self._read()
            if asked.pop(_name(study_uid), None) is not None:
                self._write(asked)

    def _read(self) -> dict[str, dt.datetime]:
        try:
            return {name: dt.datetime.fromisoformat(time) for name, time in json.loads(self._place.read_text()).items()}
        except (FileNotFoundError, ValueError, AttributeError, TypeError):  # none is waited for, or it is of no use
            return {}

    def _write(self, asked: dict[str, dt.datetime]) -> None:
        part = self._place.with_suffix(".part")
        part.write_text(json.dumps({name: time.isoformat() for name, time in asked.items()}))
        part.replace(self._place)


def _name(study_uid: str) -> str:
    return hashlib.sha256(study_uid.encode()).hexdigest()[:32]
