"""An archive whose every identifier is a canary, and how to find canaries wherever they should not be."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from attrs import frozen
from pydicom import DataElement, dcmread, dcmwrite
from pydicom.config import IGNORE
from pydicom.uid import UID

from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

STUDIES: Final = 80
IMAGES: Final = 2
_ROOT: Final = "1.2.826.0.1.3680043.10.1999"
_HOSTILE: Final = (
    "{}<script>alert(1)</script>",
    '=HYPERLINK("http://127.0.0.1/{}")',
    "{}\u202egnp.exe",
    "{}%s%n{{0}}$(id)`id`",
    "{}'; DROP TABLE study;--",
    "[bold red]{}[/]",
    "{} \u5c71\u7530 \u05d0\u05d1",
    "{}\x1b[2J",
)
_TEXTS: Final = re.compile(rb"zqx[a-z]\d{4}", re.IGNORECASE)
_NUMBERS: Final = re.compile(rb"777088\d{9}")
_DATES: Final = re.compile(rb"(?<![0-9a-f])18\d\d-?\d\d-?\d\d(?![0-9a-f])", re.IGNORECASE)


@frozen(kw_only=True)
class CanaryStudy:
    """A study made of canaries: ``texts``, ``numbers`` (parts of UIDs) and ``dates``, each found by `canaries_in`."""

    number: int

    def text(self, what: str) -> str:
        """A word that occurs nowhere else; ``what`` is one letter."""
        return f"Zqx{what}{self.number:04d}"

    def uid(self, what: int) -> str:
        """A UID with digits that occur nowhere else."""
        return f"{_ROOT}.777088{self.number:05d}{what:04d}"

    @property
    def birth(self) -> str:
        """A date of birth before any date that a program writes down."""
        return f"18{self.number % 60 + 10:02d}0{self.number % 9 + 1}1{self.number // 60}"

    @property
    def date(self) -> str:
        """The same for the study's date."""
        return f"18{self.number % 60 + 10:02d}1{self.number % 3}2{self.number // 60}"

    @property
    def values(self) -> list[str]:
        """What must not be told, whole."""
        texts = [self.text(what) for what in "niasdeorp"]
        return [*texts, *(self.uid(what) for what in range(IMAGES + 2)), self.birth, self.date]

    def images(self) -> Iterator[bytes]:
        """The study's objects."""
        hostile = _HOSTILE[self.number % len(_HOSTILE)]
        for number in range(IMAGES):
            yield self.image(number, hostile)

    def image(self, number: int, hostile: str = "{}", *, grey: int = 0) -> bytes:
        """One object; ``grey`` makes another content of it."""
        data = dcmread(io.BytesIO(dicom_bytes(ObjectSpec(modality="MR" if self.number % 4 else "CT", grey=grey))))
        data.SpecificCharacterSet = "ISO_IR 192"
        for tag, vr, value in (
            (0x00100010, "PN", f"{self.text('n')}^Grace=\u5c71\u7530^{self.number}"),
            (0x00100020, "LO", self.text("i")),
            (0x00100021, "LO", self.text("s")),
            (0x00100030, "DA", self.birth),
            (0x00080020, "DA", self.date),
            (0x00080050, "SH", self.text("a")),
            (0x00081030, "LO", hostile.format(self.text("d"))),
            (0x0008103E, "LO", hostile.format(self.text("e"))),
            (0x00101000, "LO", self.text("o")),
            (0x00080090, "PN", self.text("r")),
            (0x00200010, "SH", self.text("p")),
        ):
            data.add(DataElement(tag, vr, value, validation_mode=IGNORE))
        data.StudyInstanceUID, data.SeriesInstanceUID = UID(self.uid(0)), UID(self.uid(1))
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = UID(self.uid(2 + number))
        data.InstanceNumber = number
        written = io.BytesIO()
        dcmwrite(written, data, enforce_file_format=True)
        return written.getvalue()


CANARIES: Final = [CanaryStudy(number=number) for number in range(STUDIES)]
EXPECTED: Final = frozenset(value.lower() for study in CANARIES for value in study.values)


def plant(folder: Path) -> None:
    """Write the archive: sound studies, and what goes wrong in real ones. Folders are named after people, too."""
    for study in CANARIES:
        place = folder / f"{study.text('n')}^{study.birth}" / study.text("a")
        place.mkdir(parents=True)
        for number, data in enumerate(study.images()):
            (place / f"{study.uid(2 + number)}.dcm").write_bytes(data)
    first, second, third, fourth, fifth = CANARIES[:5]
    whole = first.image(7)
    (folder / f"{first.text('i')}.cut").write_bytes(whole[:-200])
    (folder / f"{second.text('i')}.txt").write_text(f"patient {second.text('n')}, born {second.birth}")
    (folder / f"{third.text('i')}.odd").write_bytes(
        third.image(8).replace(third.uid(1).encode(), b"no uid at all"[:13])
    )
    (folder / f"{fourth.text('i')}.again").write_bytes(fourth.image(0, grey=9))  # another content under one UID
    (folder / f"{fifth.text('i')}.long").write_bytes(fifth.image(3, "{}" + "x" * 200))


def canaries_in(text: str | bytes) -> set[str]:
    """The canaries in a text, however they are cased or parted, and their plain digests."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    found = {match.decode().lower() for match in (*_TEXTS.findall(data), *_NUMBERS.findall(data))}
    found |= {match.decode() for match in _DATES.findall(data) if match.decode().replace("-", "") in EXPECTED}
    return found | _digests_in(data)


def _digests_in(data: bytes) -> set[str]:
    runs = re.findall(rb"[0-9a-fA-F]{32,}", data)
    if not runs:
        return set()
    hexadecimal = b" ".join(runs).lower().decode()
    return {known for known in _plain_digests() if known in hexadecimal}


def _plain_digests(cache: dict[str, list[str]] = {}) -> Iterable[str]:  # noqa: B006 - made once
    if not cache:
        values = [value for study in CANARIES for value in study.values]
        cache["all"] = [
            hash_(value.encode()).hexdigest() for value in values for hash_ in (hashlib.sha256, hashlib.md5)
        ]
    return cache["all"]
