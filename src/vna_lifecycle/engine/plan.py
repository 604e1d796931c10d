"""From policies to waves on record."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence

from attrs import asdict, evolve

from vna_lifecycle.engine.holding import hold_again, what_holds
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.event import Event, PlanDropped, StudiesExcluded, WavePlanned
from vna_lifecycle.model.wave import Exclusion, WavePlan, WavePolicy


def make_plan(
    journal: Journal,
    sources: Sequence[str],
    waves: Sequence[WavePolicy],
    exclusions: Sequence[Exclusion],
    *,
    now: dt.datetime,
    dry_run: bool = False,
) -> WavePlan:
    """Fill the waves, in order, from the latest complete inventories of ``sources`` (in order of precedence).

    Studies that moved already keep their wave; all others are planned afresh. What was held back and has a place stays
    held back, by the same findings, until the next transfer looks again. With ``dry_run`` nothing is put on record.

    Raises:
        StateError: a source has no complete inventory.
    """
    catalog = journal.catalog
    unseen = [source for source in sources if catalog.latest_inventory(source) is None]
    if unseen:
        raise StateError(f"no complete inventory of {', '.join(unseen)}", hint="Take it first: vna-lifecycle inventory")
    catalog.refresh_studies(sources)
    number = catalog.next_plan()
    drawn = catalog.plan(waves, exclusions, plan=number)
    if dry_run:
        return drawn

    held = what_holds(catalog)
    events: list[tuple[str, Event]] = []
    if number > 1:
        events.append((f"plan/{number}/dropped", PlanDropped(plan=number - 1, reason="planned again")))
    planned = []
    policies = {policy.name: policy for policy in waves}
    for wave in drawn.waves:
        members = journal.keep_members(catalog.plan_members(number, wave.name))
        planned.append(evolve(wave, members=members))
        events.append(
            (
                f"plan/{number}/wave/{wave.name}",
                WavePlanned(
                    wave=wave.name,
                    plan=number,
                    studies=wave.studies,
                    instances=wave.instances,
                    size=wave.size,
                    members_ref=members,
                    policy_sha256=policy_sha256(policies[wave.name]),
                    modification_time=now.astimezone(dt.UTC).isoformat(timespec="seconds"),
                ),
            )
        )
    for index, (reason, studies) in enumerate(drawn.excluded):
        members = journal.keep_members(catalog.excluded_members(number, reason))
        event = StudiesExcluded(plan=number, reason=reason, studies=studies, members_ref=members)
        events.append((f"plan/{number}/excluded/{index}", event))
    journal.record(events)
    hold_again(journal, held, number)
    return evolve(drawn, waves=tuple(planned))


def policy_sha256(policy: WavePolicy) -> str:
    """SHA-256 of the policy's canonical JSON: sorted keys, no white space, dates in ISO 8601, enumerations by value."""

    def plain(_: object, __: object, value: object) -> object:
        return value.isoformat() if isinstance(value, dt.date) else getattr(value, "value", value)

    text = json.dumps(asdict(policy, value_serializer=plain), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
