"""A file's data set, ready to be walked: found behind its file meta information and inflated where it is deflated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from vna_lifecycle.dicom.dictionary import is_sequence
from vna_lifecycle.dicom.elements import Element, walk
from vna_lifecycle.dicom.limits import Limits, refused
from vna_lifecycle.dicom.part10 import MEDIA_DIRECTORY, Beginning, begin
from vna_lifecycle.dicom.source import Source, inflated


@frozen(kw_only=True)
class Dataset:
    """The data set begins at ``start`` of ``source``, which is the file's own unless it was inflated."""

    beginning: Beginning
    source: Source
    start: int

    def walk(self, limits: Limits) -> Iterator[Element]:
        """Every element at every depth, sequences recognised with the help of the dictionary.

        Raises:
            DicomRefused: as `elements.walk`.
        """
        explicit, big = self.beginning.explicit, self.beginning.big
        return walk(self.source, self.start, explicit=explicit, big=big, limits=limits, is_sequence=is_sequence)


@contextmanager
def open_dataset(source: Source, limits: Limits, *, directory: bool = False) -> Iterator[Dataset]:
    """The data set of the file whose bytes ``source`` holds. ``directory``: whether a DICOMDIR is what is wanted.

    Raises:
        DicomRefused: there is none, it cannot be inflated, or it is a DICOMDIR (``media-directory``).
    """
    beginning = begin(source, limits)
    if not directory and beginning.media_sop_class == MEDIA_DIRECTORY:
        raise refused("media-directory", 0)
    if beginning.deflated:
        with inflated(source, beginning.start, limits) as dataset:
            yield Dataset(beginning=beginning, source=dataset, start=0)
    else:
        yield Dataset(beginning=beginning, source=source, start=beginning.start)
