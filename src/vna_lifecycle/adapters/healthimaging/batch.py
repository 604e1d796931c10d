"""A batch's place in S3: what was staged for it, in files that its job will find and records that say what they are.

::

    {staging}in/{batch}/{UID digest}-{content digest}.dcm     what the job imports: this folder and nothing else
    {staging}batches/{batch}/study-{digest}.json              what one call of `stage` decided of each instance
    {staging}batches/{batch}/plan.json                        all of that, frozen when the batch was submitted
    {staging}batches/{batch}/job.json                         the service's job, once it was started

Keys are made of digests, never of identifiers. Everything needed to go on after a crash is there, not on this machine.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import frozen
from botocore.exceptions import ClientError

from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.ports import Batch, ConflictClass

_NAME: Final = re.compile(r"[0-9a-f]{24}-[0-9a-f]{32}\.dcm")
_OURS: Final = "vna-"
_PLAN, _JOB = "plan.json", "job.json"


class Fate(enum.Enum):
    """What shall become of an instance that was staged. PRESENT and ASIDE: the data store holds it, primary or not."""

    IMPORT = "import"
    PRESENT = "present"
    ASIDE = "aside"
    CONFLICT = "conflict"


@frozen(kw_only=True)
class Entry:
    """An instance of a batch; ``name`` is that of its file, and ``conflict`` is set for the fate CONFLICT."""

    uid: SOPInstanceUID
    name: str
    size: int
    fate: Fate
    conflict: ConflictClass | None = None

    def to_json(self) -> list[Any]:
        """For a record."""
        return [self.uid, self.name, self.size, self.fate.value, self.conflict.value if self.conflict else None]

    @classmethod
    def from_json(cls, raw: list[Any]) -> Entry:
        """From a record."""
        uid, name, size, fate, conflict = raw
        return cls(
            uid=SOPInstanceUID(uid),
            name=name,
            size=size,
            fate=Fate(fate),
            conflict=ConflictClass(conflict) if conflict else None,
        )


@frozen(kw_only=True)
class Started:
    """The job of a batch: the service's ID for it, and when it was started, in seconds since 1970."""

    job: str
    at: float


def token_of(batch: Batch, datastore_id: str) -> str:
    """The client token of a batch's job, and the job's name: the same at every retry, and for this batch alone."""
    digest = hashlib.sha256(f"{datastore_id}\n{batch.wave}\n{batch.key}".encode()).hexdigest()
    return f"{_OURS}{digest[:40]}"


def uid_digest(uid: str) -> str:
    """What stands for a SOP Instance UID in keys."""
    return hashlib.sha256(uid.encode()).hexdigest()[:24]


def file_name(uid: str, sha256: str) -> str:
    """The name of a staged file, by what it is: staging the same bytes again is the same file."""
    return f"{uid_digest(uid)}-{sha256[:32]}.dcm"


class BatchFolder:
    """One batch's place in S3, by its token."""

    def __init__(self, access: Access, token: str) -> None:
        """``token`` is that of `token_of`."""
        self._access = access
        self._bucket = access.staging
        self.token = token
        self.input = f"in/{token}/"
        self._records = f"batches/{token}/"

    @property
    def input_uri(self) -> str:
        """The S3 URI that the job gets; it ends in a slash."""
        return f"{self._access.settings.staging}{self.input}"

    def _put(self, name: str, document: Any) -> None:
        key = self._bucket.key(f"{self._records}{name}")
        body = json.dumps(document, separators=(",", ":")).encode()
        self._bucket.attempt(
            lambda: self._bucket.client.put_object(
                Bucket=self._bucket.name, Key=key, Body=body, ContentType="application/json"
            )
        )

    def _get(self, name: str) -> Any:
        """A record, None where there is none."""
        try:
            data = self._bucket.read(f"{self._records}{name}")
        except ClientError:
            return None
        try:
            return json.loads(data)
        except ValueError:
            message = f"{self._access.site.name}: a record of a batch in the staging folder was damaged"
            hint = "stage the batch under a new key"
            raise ArchiveError(message, archive=self._access.site.name, hint=hint) from None

    def record(self, study: str, entries: Iterable[Entry]) -> None:
        """Keep what was decided of a study's instances: added to what is there, the later decision counts."""
        name = f"study-{hashlib.sha256(study.encode()).hexdigest()[:32]}.json"
        merged = {entry.uid: entry for entry in map(Entry.from_json, self._get(name) or ())}
        merged |= {entry.uid: entry for entry in entries}
        self._put(name, [entry.to_json() for entry in merged.values()])

    def recorded(self) -> dict[SOPInstanceUID, Entry]:
        """Everything that was staged, by UID."""
        found: dict[SOPInstanceUID, Entry] = {}
        for listed in self._bucket.listing(f"{self._records}study-"):
            raw = self._get(listed.key.removeprefix(self._records))
            found |= {entry.uid: entry for entry in map(Entry.from_json, raw or ())}
        return found

    def plan(self) -> tuple[Entry, ...] | None:
        """What was submitted, None if nothing was yet."""
        raw = self._get(_PLAN)
        return None if raw is None else tuple(map(Entry.from_json, raw))

    def freeze(self, entries: Iterable[Entry]) -> None:
        """From now on the batch is submitted, with these entries."""
        self._put(_PLAN, [entry.to_json() for entry in entries])

    def started(self) -> Started | None:
        """The job, if it was started and that could be noted."""
        raw: Mapping[str, Any] | None = self._get(_JOB)
        return None if raw is None else Started(job=raw["job"], at=raw["at"])

    def note_job(self, started: Started) -> None:
        """Keep the service's ID of the job."""
        self._put(_JOB, {"job": started.job, "at": started.at})

    def files(self) -> Iterator[tuple[str, int]]:
        """Name and size of each file that the job would find."""
        for listed in self._bucket.listing(self.input):
            yield listed.key.removeprefix(self.input), listed.size

    def is_ours(self, name: str) -> bool:
        """Whether `stage` made a file of that name."""
        return _NAME.fullmatch(name) is not None

    def remove(self, name: str) -> None:
        """Take a file away."""
        key = self._bucket.key(f"{self.input}{name}")
        self._bucket.attempt(lambda: self._bucket.client.delete_object(Bucket=self._bucket.name, Key=key))
