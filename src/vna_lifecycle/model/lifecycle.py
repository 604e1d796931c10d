"""Where a study stands in its migration, as one literal table."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class MigrationState(enum.Enum):
    """A study's place in the migration.

    ``transferred`` means copied, read back and reconciled in full; it says nothing about readiness for care. ``held``
    means held back before storing, by a finding that must be decided or gone first. ``remedying`` means that objects
    are being corrected at the target.
    """

    DISCOVERED = "discovered"
    EXCLUDED = "excluded"
    PLANNED = "planned"
    HELD = "held"
    FETCHED = "fetched"
    STORING = "storing"
    STORED = "stored"
    TRANSFERRED = "transferred"
    INCOMPLETE = "incomplete"
    REMEDYING = "remedying"
    FAILED = "failed"
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"


_S = MigrationState

TRANSITIONS: Final[Mapping[tuple[MigrationState, str], MigrationState]] = MappingProxyType(
    {
        # (state, kind of event): state after it
        (_S.DISCOVERED, "wave-planned"): _S.PLANNED,
        (_S.DISCOVERED, "studies-excluded"): _S.EXCLUDED,
        (_S.EXCLUDED, "wave-planned"): _S.PLANNED,  # the exclusion was lifted
        (_S.PLANNED, "wave-planned"): _S.PLANNED,  # planned again before anything moved
        (_S.PLANNED, "studies-excluded"): _S.EXCLUDED,
        (_S.PLANNED, "plan-dropped"): _S.DISCOVERED,  # a new plan has no place for it
        (_S.EXCLUDED, "plan-dropped"): _S.DISCOVERED,
        (_S.PLANNED, "withdraw-intended"): _S.WITHDRAWING,  # a changed study's copies from before are still there
        (_S.PLANNED, "study-held"): _S.HELD,
        (_S.FAILED, "study-held"): _S.HELD,
        (_S.INCOMPLETE, "study-held"): _S.HELD,
        (_S.HELD, "study-held"): _S.HELD,  # by another finding now
        (_S.HELD, "study-released"): _S.PLANNED,
        (_S.HELD, "wave-planned"): _S.PLANNED,
        (_S.HELD, "studies-excluded"): _S.EXCLUDED,
        (_S.HELD, "plan-dropped"): _S.DISCOVERED,
        (_S.HELD, "withdraw-intended"): _S.WITHDRAWING,
        (_S.PLANNED, "study-fetched"): _S.FETCHED,
        (_S.PLANNED, "study-failed"): _S.FAILED,
        (_S.FETCHED, "study-fetched"): _S.FETCHED,  # fetched again after an interruption: the spool is not evidence
        (_S.FETCHED, "store-intended"): _S.STORING,
        (_S.FETCHED, "study-incomplete"): _S.INCOMPLETE,  # nothing of it may be stored before a decision
        (_S.FETCHED, "study-failed"): _S.FAILED,
        (_S.STORING, "study-fetched"): _S.FETCHED,
        (_S.STORING, "study-stored"): _S.STORED,
        (_S.STORING, "study-failed"): _S.FAILED,
        (_S.STORED, "study-fetched"): _S.FETCHED,
        (_S.STORED, "study-transferred"): _S.TRANSFERRED,
        (_S.STORED, "study-incomplete"): _S.INCOMPLETE,
        (_S.STORED, "study-failed"): _S.FAILED,
        (_S.INCOMPLETE, "study-fetched"): _S.FETCHED,
        (_S.INCOMPLETE, "study-failed"): _S.FAILED,
        (_S.INCOMPLETE, "withdraw-intended"): _S.WITHDRAWING,
        (_S.INCOMPLETE, "remedy-intended"): _S.REMEDYING,
        (_S.REMEDYING, "study-remedied"): _S.TRANSFERRED,
        (_S.REMEDYING, "remedy-failed"): _S.INCOMPLETE,
        (_S.FAILED, "study-fetched"): _S.FETCHED,
        (_S.FAILED, "study-failed"): _S.FAILED,
        (_S.FAILED, "withdraw-intended"): _S.WITHDRAWING,
        (_S.INCOMPLETE, "content-chosen"): _S.PLANNED,  # a decision was what it waited for
        (_S.PLANNED, "content-chosen"): _S.PLANNED,
        (_S.INCOMPLETE, "study-changed"): _S.PLANNED,
        (_S.FAILED, "study-changed"): _S.PLANNED,
        (_S.TRANSFERRED, "study-changed"): _S.PLANNED,  # the source has more, or other, content than was moved
        (_S.TRANSFERRED, "withdraw-intended"): _S.WITHDRAWING,
        (_S.WITHDRAWING, "withdraw-intended"): _S.WITHDRAWING,
        (_S.WITHDRAWING, "study-withdrawn"): _S.WITHDRAWN,
        (_S.WITHDRAWING, "study-fetched"): _S.FETCHED,  # it could not be ended: what was removed is put back
        (_S.WITHDRAWING, "study-failed"): _S.FAILED,
        (_S.WITHDRAWING, "study-held"): _S.HELD,
        (_S.WITHDRAWN, "wave-planned"): _S.PLANNED,
        (_S.WITHDRAWN, "studies-excluded"): _S.EXCLUDED,
    }
)


def fold(state: MigrationState, kind: str) -> MigrationState:
    """The state after an event of ``kind``.

    Raises:
        ValueError: the event cannot happen in this state; the ledger and the engine disagree.
    """
    try:
        return TRANSITIONS[state, kind]
    except KeyError:
        raise ValueError(f"{kind} cannot happen to a study that is {state.value}") from None
