"""Where every study stands, from the ledger's events alone: a second opinion on the catalog's projection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from attrs import define, field

from vna_lifecycle.model.event import Event, PlanDropped, StudiesExcluded, WavePlanned

AFTER: Final[Mapping[str, str]] = MappingProxyType(
    {
        # kind of event: where its study stands after it
        "study-fetched": "fetched",
        "store-intended": "storing",
        "study-stored": "stored",
        "study-transferred": "transferred",
        "study-incomplete": "incomplete",
        "study-failed": "failed",
        "study-changed": "planned",
        "study-held": "held",
        "study-released": "planned",
        "remedy-intended": "remedying",
        "study-remedied": "transferred",
        "remedy-failed": "incomplete",
        "withdraw-intended": "withdrawing",
        "study-withdrawn": "withdrawn",
    }
)
_UNPLACED: Final = "unplanned"


@define
class Standing:
    """Each study's state by its label, with its wave and the plan that placed it there.

    What may have copies at the target keeps its place until it is withdrawn.
    """

    states: dict[str, str] = field(factory=dict)
    _waves: dict[str, tuple[str, int]] = field(factory=dict)
    _copied: set[str] = field(factory=set)

    def follow(self, event: Event, members: Callable[[str], Iterable[tuple[str, str]]]) -> str:
        """Take an event into account; what is wrong with it, if anything."""
        match event:
            case WavePlanned():
                placed = self._place(members(event.members_ref), "planned", event.wave, event.plan)
                return "" if placed == event.studies else f"wave {event.wave} has {placed} members, not {event.studies}"
            case StudiesExcluded():
                placed = self._place(members(event.members_ref), "excluded", "", event.plan)
                return "" if placed == event.studies else f"{placed} studies are excluded, not {event.studies}"
            case PlanDropped():
                for label, (_, plan) in list(self._waves.items()):
                    free = self.states[label] in ("planned", "excluded", "held") and label not in self._copied
                    if plan == event.plan and free:
                        self.states[label] = _UNPLACED
                        self._waves[label] = ("", 0)
            case _ if event.kind == "content-chosen":
                label = str(getattr(event, "study", ""))
                if self.states.get(label) == "incomplete":
                    self.states[label] = "planned"
            case _ if event.kind in AFTER:
                label = str(getattr(event, "study", ""))
                if label not in self._waves:
                    return f"{event.kind} of a study that no wave holds"
                if event.kind == "store-intended":
                    self._copied.add(label)
                elif event.kind == "study-withdrawn":
                    self._copied.discard(label)
                self.states[label] = AFTER[event.kind]
            case _:
                pass
        return ""

    def _place(self, members: Iterable[tuple[str, str]], state: str, wave: str, plan: int) -> int:
        count = 0
        for label, _ in members:
            self.states[label] = state
            self._waves[label] = (wave, plan)
            count += 1
        return count

    def counts(self) -> dict[tuple[str, str], int]:
        """How many studies of a wave are in a state, by (wave, state)."""
        return dict(Counter((self._waves.get(label, ("", 0))[0], state) for label, state in self.states.items()))
