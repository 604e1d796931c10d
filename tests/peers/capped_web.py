"""A server of searches (QIDO-RS) that limits its answers in the ways that archives are known to do it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from attrs import frozen

from peers.scripted_web import Reply, Scripted, answers


@frozen(kw_only=True)
class Study:
    """A study that is searched for, of so many instances in one series."""

    uid: str
    date: str = ""
    time: str = ""
    patient: str = ""
    instances: int = 1


class CappedWeb(Scripted):
    """Answers searches as PS3.4 C.2.2.2 matches, but no more than ``cap`` at once.

    ``pages``: it continues them from an offset. ``most``: it continues them no further than this. ``limits``: it heeds
    how many are asked for. ``tells``: it warns when there are more. ``wild_cards``: what it makes of those in IDs.
    ``counts``: it tells how many instances there are. ``refuses``: it refuses searches with more answers than this.
    """

    def __init__(
        self,
        studies: Iterable[Study],
        cap: int = 1_000_000,
        *,
        pages: bool = False,
        most: int = 1_000_000,
        limits: bool = True,
        tells: bool = False,
        wild_cards: Literal["known", "overlooked", "taken literally"] = "known",
        counts: bool = True,
        refuses: int = 1_000_000,
    ) -> None:
        super().__init__()
        self.studies = {study.uid: study for study in studies}
        self.cap, self.most, self.refuses = cap, most, refuses
        self.pages, self.limits, self.tells, self.wild_cards, self.counts = pages, limits, tells, wild_cards, counts
        self.script = self.search

    @property
    def searches(self) -> int:
        """How many searches were made."""
        return len(self.seen)

    def search(self, method: str, path: str, body: bytes) -> Reply:
        """The answer to a search; there is nothing to retrieve."""
        if "?" not in path:
            return 404, {}, b""
        parts = urlsplit(path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        names = parts.path.split("/")
        if names[-1] == "studies":
            return self._some(asked, [self._study(one) for one in self.studies.values() if self._matches(asked, one)])
        study = self.studies[names[names.index("studies") + 1]]
        if names[-1] == "series":
            return self._some(asked, [{"0020000E": f"{study.uid}.1", **self._count("00201209", study)}])
        uids = [f"{study.uid}.1.{number}" for number in range(1, study.instances + 1)]
        told = {"0020000E": f"{study.uid}.1", "00080016": "1.2.840.10008.5.1.4.1.1.2", "00080060": "CT"}
        return self._some(asked, [{"00080018": uid, **told} for uid in uids])

    def _study(self, study: Study) -> dict[str, object]:
        told = {"0020000D": study.uid, "00080020": study.date, "00080030": study.time, "00100020": study.patient}
        return told | self._count("00201208", study)

    def _count(self, tag: str, study: Study) -> dict[str, object]:
        return {tag: study.instances} if self.counts else {}

    def _matches(self, asked: dict[str, str], study: Study) -> bool:
        patient = "*" if self.wild_cards == "overlooked" else asked.get("PatientID", "*")
        beginning = patient == "*" or (patient.endswith("*") and self.wild_cards == "known")
        return (
            asked.get("StudyInstanceUID", study.uid) == study.uid
            and _within(asked.get("StudyDate", ""), study.date)
            and _within(asked.get("StudyTime", ""), study.time)
            and (study.patient.startswith(patient[:-1]) if beginning else study.patient == patient)
        )

    def _some(self, asked: dict[str, str], found: list[dict[str, object]]) -> Reply:
        if len(found) > self.refuses:
            return 413, {}, b""
        found = found[: self.most]
        begin = int(asked.get("offset", 0)) if self.pages else 0
        here = min(self.cap, int(asked["limit"])) if self.limits else self.cap
        status, headers, data = answers(*found[begin : begin + here])
        if self.tells and begin + here < len(found):
            more = f"299 archive: There are {len(found) - begin - here} additional results that can be requested"
            headers = {**headers, "Warning": more}
        return status, headers, data


def _within(asked: str, value: str) -> bool:
    first, dash, last = asked.partition("-")
    return not asked or (bool(value) and (first or "0") <= value <= (last or "9" if dash else first))
