"""Taking this program's own copies back out of a bucket, as long as they are still the bytes that it put there.

In a bucket with versions a withdrawn object is hidden behind a delete marker; its version stays until it is erased.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import code_of
from vna_lifecycle.adapters.s3.fetch import download
from vna_lifecycle.adapters.s3.holdings import Holdings, is_gone
from vna_lifecycle.adapters.s3.layout import object_key
from vna_lifecycle.adapters.s3.store import INSTANCES_PER_COMMIT
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import Manifest, ManifestEntry
from vna_lifecycle.ports import ConflictClass, Outcome, Receipt, StoreFailure

_Answer: TypeAlias = Receipt | StoreFailure


class Withdrawal:
    """The withdrawing side of a store."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._bucket = holdings.bucket

    def withdraw(self, study: StudyRef, manifest: Manifest) -> Iterator[_Answer]:
        """Remove what still has the manifest's data set bytes, which are read first. Objects go before their lines.

        Raises:
            ArchiveError: the bucket cannot be read or does not let us.
        """
        if not self._holdings.is_store():
            for entry in manifest.entries:
                yield Receipt(sop_instance_uid=entry.sop_instance_uid, outcome=Outcome.ALREADY_PRESENT)
            return
        self._holdings.begin_writing()
        waiting = iter(manifest.entries)
        while batch := list(islice(waiting, INSTANCES_PER_COMMIT)):
            answers = list(self._bucket.pool.map(lambda entry: self._remove(manifest.study_uid, entry), batch))
            gone = [answer.sop_instance_uid for answer in answers if isinstance(answer, Receipt)]
            said = self._holdings.contents(manifest.study_uid)
            struck = [uid for uid in gone if uid in said.instances]
            if struck:
                self._holdings.append(manifest.study_uid, withdrawn=struck, last=said.last)
            yield from answers

    def _remove(self, study_uid: StudyUID, entry: ManifestEntry) -> _Answer:
        uid = entry.sop_instance_uid
        key = object_key(study_uid, uid)
        with TemporaryDirectory(dir=self._bucket.site.workspace) as folder:
            path = Path(folder, "present.dcm")
            try:
                download(self._bucket, key, path)
                found, _ = dataset_sha256(path)
            except DicomRefused:
                found = ""
            except ClientError as error:
                if is_gone(error):
                    return Receipt(sop_instance_uid=uid, outcome=Outcome.ALREADY_PRESENT)
                message = f"it cannot be read, so it stays: {code_of(error)}; recall it first"
                return StoreFailure(sop_instance_uid=uid, code="archived", message=message)
        if found != entry.digest.dataset_sha256:
            message = "the stored object is not the manifest's any more; it stays"
            return StoreFailure(sop_instance_uid=uid, code="conflict", message=message, conflict=ConflictClass.CONTENT)
        self._bucket.attempt(
            lambda: self._bucket.client.delete_object(Bucket=self._bucket.name, Key=self._bucket.key(key))
        )
        return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED)
