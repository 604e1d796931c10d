"""Correcting what a target set aside, so that its readers are shown it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from attrs import frozen

from vna_lifecycle.model.change import AttributeChange
from vna_lifecycle.model.identity import SeriesUID, StudyRef
from vna_lifecycle.model.inventory import InstanceRecord


@frozen(kw_only=True)
class Disagreement:
    """An attribute of objects that were set aside, and of those that readers are shown, by its DICOM keyword.

    Values are texts, one per multiplicity; empty means present with zero length, None that it is not there.
    """

    keyword: str
    aside: tuple[str, ...] | None
    shown: tuple[str, ...] | None


@frozen(kw_only=True)
class SetAside:
    """Instances of one series that a target keeps out of its readers' sight, because something disagrees.

    ``place`` is the target's own name for where they lie, ``version`` what guards it against changes by others. They
    may be shown once every one of ``disagreements`` is settled. ``hindrance`` says why the target would not let them in
    even then; ``""`` where nothing is known to.
    """

    place: str
    version: str
    series_uid: SeriesUID
    instances: tuple[InstanceRecord, ...]
    disagreements: tuple[Disagreement, ...] = ()
    hindrance: str = ""


@frozen(kw_only=True)
class Changed:
    """A change that the target made. ``request`` is its own name for the request, where it has one."""

    version_before: str
    version_after: str
    request: str = ""


@frozen(kw_only=True)
class ChangeRefused:
    """A change that the target did not make. ``code`` is a stable kebab-case word; ``message`` has no patient data."""

    code: str
    message: str


class AdmitsSetAside(Protocol):
    """A target that sets aside what disagrees with what it holds, and lets it in once it agrees.

    Each change names the version that was looked at: a newer one, or a repeated request, is refused.
    """

    def set_aside(self, study: StudyRef) -> Iterator[SetAside]:
        """What is set aside of a study.

        Raises:
            ArchiveError: the target cannot be asked.
        """
        ...

    def correct(
        self, place: str, version: str, series_uid: SeriesUID, changes: Sequence[AttributeChange]
    ) -> Changed | ChangeRefused:
        """Give attributes of what is set aside other values, or take them out. What readers are shown stays.

        Raises:
            ArchiveError: the target does not do its part.
        """
        ...

    def admit(self, place: str, version: str) -> Changed | ChangeRefused:
        """Let readers be shown it, beside what they are shown already. Nothing is ever overwritten.

        Raises:
            ArchiveError: the target does not do its part.
        """
        ...

    def discard(self, place: str, version: str) -> Changed | ChangeRefused:
        """Remove what is left aside of instances that were admitted. To do it again is harmless.

        Raises:
            ArchiveError: the target does not do its part.
        """
        ...
