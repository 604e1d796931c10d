"""What people decide: pausing, resuming, and which of several contents is the true one."""

from __future__ import annotations

import json
from collections.abc import Iterator

from attrs import frozen

from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.event import ContentChosen, WavePaused, WaveResumed
from vna_lifecycle.model.lifecycle import MigrationState


@frozen(kw_only=True)
class HeldContent:
    """One of several contents under one SOP Instance UID, waiting for a decision.

    ``content`` is the SHA-256 of its data set; ``archive`` and ``locator`` say where it lies.
    """

    wave: str
    study: str
    sop_instance_uid: str
    conflict: str
    content: str
    archive: str
    locator: str


def pause(journal: Journal, wave: str, *, by: str, reason: str) -> None:
    """Stop work on a wave (``""``: on all), from any process: no new study is begun, those in flight are finished."""
    _on_wave(journal, wave)
    key = f"pause/{wave}/{journal.ledger.size()}"
    journal.record([(key, WavePaused(wave=wave, by=by, reason=reason))], actor=by)


def resume(journal: Journal, wave: str, *, by: str, reason: str) -> None:
    """Let work on a wave (``""``: on all) go on."""
    _on_wave(journal, wave)
    key = f"resume/{wave}/{journal.ledger.size()}"
    journal.record([(key, WaveResumed(wave=wave, by=by, reason=reason))], actor=by)


def _on_wave(journal: Journal, wave: str) -> None:
    journal.sync()
    names = journal.catalog.wave_names()
    if wave and wave not in names:
        raise StateError(f"there is no wave {wave!r}", hint=f"Planned are: {', '.join(names) or 'none'}")


def held_contents(journal: Journal, wave: str | None = None, *, decided: bool = False) -> Iterator[HeldContent]:
    """Every content that waits for a decision, from the findings of studies that are not transferred.

    With ``decided`` also those of UIDs for which one was chosen and that have not moved since: it may be chosen anew.
    """
    seen: set[tuple[str, str, str, str]] = set()
    for row in journal.catalog.findings(wave):
        if not row.kind.startswith("several-contents-"):
            continue
        work = journal.catalog.work_on(row.study)
        if work is None or work.state not in (MigrationState.INCOMPLETE, MigrationState.PLANNED):
            continue
        evidence = json.loads(journal.vault.get(row.evidence_ref))
        for uid, text in evidence["details"]:
            content, _, place = text.partition(" ")
            archive, _, locator = place.partition(":")
            chosen = journal.vault.label(uid) in journal.catalog.choices(row.study)
            if (chosen and not decided) or (row.study, uid, content, locator) in seen:
                continue
            seen.add((row.study, uid, content, locator))
            yield HeldContent(
                wave=row.wave,
                study=row.study,
                sop_instance_uid=uid,
                conflict=row.kind.removeprefix("several-contents-"),
                content=content,
                archive=archive,
                locator=locator,
            )


def choose(journal: Journal, sop_instance_uid: str, content: str, *, by: str, reason: str) -> HeldContent:
    """Decide that ``content`` (the beginning of its SHA-256 suffices) is what a SOP Instance UID stands for.

    The study goes back to *planned*: the next transfer of its wave takes it up.

    Raises:
        StateError: nothing is held under this UID, or the content is none, or several, of those held.
    """
    journal.sync()
    held = [item for item in held_contents(journal, decided=True) if item.sop_instance_uid == sop_instance_uid]
    if not held:
        raise StateError("no contents are held under this SOP Instance UID", hint="See: vna-lifecycle remediate")
    matching = {item.content for item in held if content and item.content.startswith(content)}
    if len(matching) != 1:
        raise StateError(
            f"{len(matching)} of the held contents begin with {content!r}",
            hint="Give the beginning of exactly one: " + ", ".join(sorted({item.content[:12] for item in held})),
        )
    item = next(item for item in held if item.content in matching)
    event = ContentChosen(
        study=item.study,
        instance=journal.vault.label(sop_instance_uid),
        content=item.content,
        by=by,
        reason=reason,
    )
    key = f"choice/{item.study}/{event.instance}/{journal.ledger.size()}"
    journal.record([(key, event)], actor=by)
    return item
