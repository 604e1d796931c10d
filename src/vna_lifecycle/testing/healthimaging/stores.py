"""What the service holds: data stores with their image sets, and import jobs."""

from __future__ import annotations

import datetime as dt
import io
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import define, evolve, field, frozen
from pydicom import dcmread
from pydicom.dataset import Dataset

from vna_lifecycle.testing.healthimaging.instances import Instance, keep
from vna_lifecycle.testing.healthimaging.metadata import document
from vna_lifecycle.testing.healthimaging.trouble import conflict, not_found

ACCOUNT: Final = "123456789012"
ARCHIVED_AFTER: Final = dt.timedelta(days=30)
"""After so long without a look, an image set lies in the ARCHIVE_INSTANT_ACCESS tier."""


def new_id() -> str:
    """An identifier as the service makes them: 32 characters."""
    return uuid.uuid4().hex


@frozen(kw_only=True)
class Version:
    """One version of an image set. ``instances`` are by SOP Instance UID; versions share them."""

    number: int
    instances: Mapping[str, Instance]
    status: str
    created: dt.datetime
    primary: bool
    forced: bool = False


@define(kw_only=True)
class ImageSet:
    """Instances of one series. The newest version is last. ``gone_at`` is when an asynchronous deletion is done."""

    id: str
    created: dt.datetime
    versions: list[Version]
    accessed: dt.datetime
    state: str = "ACTIVE"
    gone_at: dt.datetime | None = None
    deleted: dt.datetime | None = None

    @property
    def latest(self) -> Version:
        """The newest version."""
        return self.versions[-1]

    def first(self, version: Version | None = None) -> Instance:
        """Any instance of a version, for what they all share."""
        return next(iter((version or self.latest).instances.values()))

    @property
    def study(self) -> str:
        """The Study Instance UID of its newest version."""
        return str(self.first().levels.study["StudyInstanceUID"])

    @property
    def series(self) -> str:
        """The Series Instance UID of its newest version."""
        return str(self.first().levels.series["SeriesInstanceUID"])

    def version(self, number: str | None) -> Version:
        """A version by number, the newest without one.

        Raises:
            ServiceError: there is none.
        """
        if number is None:
            return self.latest
        for found in self.versions:
            if str(found.number) == number:
                return found
        raise not_found("version")

    def require_latest(self, number: str) -> None:
        """Refuse a change that was made with an older version in mind.

        Raises:
            ServiceError: there is a newer version, or the image set is being changed or deleted.
        """
        if self.state != "ACTIVE":
            raise conflict(f"image set is {self.state}")
        if str(self.latest.number) != number:
            raise conflict("latestVersionId is not the latest version")

    def add(self, now: dt.datetime, **changes: Any) -> Version:
        """A new version, like the newest but for ``changes``."""
        self.versions.append(evolve(self.latest, number=self.latest.number + 1, created=now, **changes))
        return self.latest

    def tier(self, now: dt.datetime) -> str:
        """Its storage tier at a time."""
        return "ARCHIVE_INSTANT_ACCESS" if now - self.accessed >= ARCHIVED_AFTER else "FREQUENT_ACCESS"

    def document(self, datastore: str, version: Version) -> dict[str, Any]:
        """A version's metadata."""
        return document(datastore, self.id, version.number, version.instances.values())


@define(kw_only=True)
class Job:
    """An import job. Times are set as it goes; ``written`` says that its result files are there."""

    id: str
    name: str
    token: str
    role: str
    input_uri: str
    output_uri: str
    submitted: dt.datetime
    status: str = "SUBMITTED"
    started: dt.datetime | None = None
    ends: dt.datetime | None = None
    ended: dt.datetime | None = None
    message: str = ""
    results: dict[str, bytes] | None = None
    written: bool = False

    @property
    def under_way(self) -> bool:
        """Whether it counts against the quota of concurrent jobs."""
        return self.status in ("SUBMITTED", "IN_PROGRESS")


@define(kw_only=True)
class Datastore:
    """A data store. ``duplicates``: an instance that is imported again comes into a non-primary set, or overwrites.

    ``leaving`` are image sets that are being deleted.
    """

    id: str
    name: str
    region: str
    created: dt.datetime
    token: str = ""
    storage_format: str = "JPEG_2000_LOSSLESS"
    kms_key: str = ""
    status: str = "ACTIVE"
    duplicates: bool = True
    image_sets: dict[str, ImageSet] = field(factory=dict)
    jobs: dict[str, Job] = field(factory=dict)
    tags: dict[str, dict[str, str]] = field(factory=dict)
    leaving: list[ImageSet] = field(factory=list)
    _by_study: dict[str, dict[str, ImageSet]] = field(factory=dict)
    _by_series: dict[str, dict[str, ImageSet]] = field(factory=dict)

    @property
    def arn(self) -> str:
        """Its Amazon Resource Name."""
        return f"arn:aws:medical-imaging:{self.region}:{ACCOUNT}:datastore/{self.id}"

    def arn_of(self, image_set: ImageSet) -> str:
        """The Amazon Resource Name of an image set."""
        return f"{self.arn}/imageset/{image_set.id}"

    def image_set(self, image_set_id: str) -> ImageSet:
        """An image set by its ID, also a deleted one.

        Raises:
            ServiceError: there is none.
        """
        try:
            return self.image_sets[image_set_id]
        except KeyError:
            raise not_found("image set") from None

    def present(self) -> Iterator[ImageSet]:
        """The image sets that are not deleted."""
        return (found for found in self.image_sets.values() if found.state != "DELETED")

    def of_study(self, study: str) -> list[ImageSet]:
        """The image sets of a study that are not deleted."""
        known = self._by_study.get(study, {}).values()
        return [one for one in known if one.state != "DELETED" and one.study == study]

    def keep(self, image_set: ImageSet) -> None:
        """Take in an image set that is new, or has come to be of another study or series."""
        self.image_sets[image_set.id] = image_set
        self._by_study.setdefault(image_set.study, {})[image_set.id] = image_set
        self._by_series.setdefault(image_set.series, {})[image_set.id] = image_set

    def primary_of(self, series: str) -> ImageSet | None:
        """The primary image set of a series, if there is one."""
        for found in self._by_series.get(series, {}).values():
            if found.state != "DELETED" and found.latest.primary and found.series == series:
                return found
        return None

    def study_key_of(self, study: str) -> str | None:
        """What the primary image sets of a study agree in; None where there are none."""
        keys = (found.first().levels.study_key for found in self.of_study(study) if found.latest.primary)
        return next(keys, None)

    def import_instances(
        self, instances: Iterable[Instance], now: dt.datetime, *, aside: Iterable[str] = ()
    ) -> dict[int, ImageSet]:
        """Put instances into image sets; where each went, by its position. ``aside`` are forced to be non-primary.

        What agrees with its series' primary image set goes there, or founds it. What conflicts with it, or with the
        study's other primary sets, makes a non-primary set with what conflicts in the same way in this import.
        """
        set_aside = frozenset(aside)
        others: dict[tuple[str, int], ImageSet] = {}
        touched: dict[str, Version] = {}
        placed: dict[int, ImageSet] = {}
        for position, instance in enumerate(instances):
            uid = instance.sop_instance_uid
            target = None if uid in set_aside else self._fitting(instance)
            if target is None and uid not in set_aside and self._may_found(instance):
                target = self._found(instance, now, primary=True)
                touched[target.id] = target.latest
            elif target is None or (self.duplicates and uid in target.latest.instances):
                target = self._beside(instance, others, now)
                touched[target.id] = target.latest
            if target.id not in touched:
                touched[target.id] = target.add(now, status="IMPORTED")
            grown = {**target.latest.instances, uid: instance}
            target.versions[-1] = touched[target.id] = evolve(target.latest, instances=grown)
            placed[position] = target
        return placed

    def _fitting(self, instance: Instance) -> ImageSet | None:
        primary = self.primary_of(str(instance.levels.series["SeriesInstanceUID"]))
        return primary if primary and primary.first().levels.series_key == instance.levels.series_key else None

    def _may_found(self, instance: Instance) -> bool:
        if self.primary_of(str(instance.levels.series["SeriesInstanceUID"])) is not None:
            return False
        return self.study_key_of(str(instance.levels.study["StudyInstanceUID"])) in (None, instance.levels.study_key)

    def _found(self, instance: Instance, now: dt.datetime, *, primary: bool) -> ImageSet:
        version = Version(number=1, instances={}, status="IMPORTED", created=now, primary=primary)
        founded = ImageSet(id=new_id(), created=now, versions=[version], accessed=now)
        founded.versions[-1] = evolve(version, instances={instance.sop_instance_uid: instance})
        self.keep(founded)
        return founded

    def _beside(self, instance: Instance, others: dict[tuple[str, int], ImageSet], now: dt.datetime) -> ImageSet:
        number = 0
        while True:
            key = instance.levels.series_key, number
            if key not in others:
                others[key] = self._found(instance, now, primary=False)
            if others[key].latest.instances.get(instance.sop_instance_uid, instance) is instance:
                return others[key]
            number += 1


def changed(
    version: Version, change: Callable[[Dataset, str, str], None], keeping: Callable[[str], bool]
) -> dict[str, Instance]:
    """The instances of a version after ``change`` was applied to each data set (with its series and SOP UIDs)."""
    result = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for uid, instance in version.instances.items():
            if not keeping(uid):
                continue
            dataset = dcmread(io.BytesIO(instance.data))
            change(dataset, str(instance.levels.series["SeriesInstanceUID"]), uid)
            kept = keep(dataset)
            result[kept.sop_instance_uid] = evolve(kept, frames=instance.frames)
    return result
