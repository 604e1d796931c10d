"""What is on record: verifying, showing, signing and proving. Needs neither program.toml nor the catalog."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from attrs import asdict
from cyclopts import App, Parameter

from vna_lifecycle.cli.options import HERE, PLAIN, ProgramFolder, Show
from vna_lifecycle.cli.output import print_json, read_file, safe, say, write_file
from vna_lifecycle.errors import IntegrityError, StateError
from vna_lifecycle.model.counting import counted

if TYPE_CHECKING:
    from vna_lifecycle.ledger import Ledger
    from vna_lifecycle.model.event import RecordedEvent

app = App(name="ledger", help="Verify, show, sign and prove what is on record.")

Output = Annotated[Path | None, Parameter(name="--output", help="Write to this file instead of standard output.")]


@contextmanager
def _ledger(folder: Path) -> Iterator[Ledger]:
    from vna_lifecycle.ledger import Ledger
    from vna_lifecycle.program.bench import utc_now
    from vna_lifecycle.program.layout import Layout

    path = Layout(folder.resolve()).ledger
    if not path.exists():
        raise StateError(f"there is no ledger in {folder.resolve()}", hint="Name the program's folder: --program DIR")
    with Ledger.open(path, clock=utc_now, read_only=True) as ledger:
        yield ledger


@app.command
def verify(
    *,
    deep: Annotated[
        bool, Parameter(negative=(), help="Also check what the events say: each must fit those before it.")
    ] = False,
    checkpoint: Annotated[
        Path | None, Parameter(help="A checkpoint that was kept elsewhere; the ledger must go on from it.")
    ] = None,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Check the ledger's bytes, tree and signed heads. Exit code 5 if anything does not hold."""
    from vna_lifecycle.program.layout import Layout

    note = read_file(checkpoint) if checkpoint is not None else None
    public = Layout(program.resolve()).public_key
    key = read_file(public).strip() if public.exists() else None
    with _ledger(program) as ledger:
        found = ledger.verify(deep=deep, checkpoint=note, public_key=key)
    if show.json:
        print_json({"ok": found.ok, "deep": deep, **asdict(found)})
    elif found.ok:
        say(f"The ledger holds: {counted(found.size, 'event')}, root {found.root}")
    else:
        say(f"THE LEDGER DOES NOT HOLD: {found.reason}")
        say(f"The first {counted(found.size, 'event')} hold, root {found.root}")
        say("what to do next: keep this folder as it is, and compare with a backup and with checkpoints kept elsewhere")
    return 0 if found.ok else IntegrityError.exit_code


@app.command(name="show")
def show_events(
    *,
    first: Annotated[int, Parameter(name="--from", help="The first event to show; default: 0, the oldest.")] = 0,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Show the events, oldest first; with --json one object on each line."""
    if first < 0:
        raise StateError("events are counted from 0", hint="Say --from 0 or more")
    with _ledger(program) as ledger:
        for event in ledger.read(first):
            if show.json:
                fields = {"kind": event.event.kind, "version": event.event.version, **asdict(event.event)}
                print_json({**asdict(event, recurse=False), "event": fields}, indent=None)
            else:
                say(event_line(event))
    return 0


def event_line(event: RecordedEvent) -> str:
    """An event for people: number, time, who, what, and its fields."""
    fields = " ".join(f"{name}={value}" for name, value in asdict(event.event).items() if value not in ("", ()))
    return safe(f"{event.sequence:>6}  {event.time[:19]}Z  {event.actor}  {event.event.kind}  {fields}")


@app.command
def checkpoint(*, output: Output = None, program: ProgramFolder = HERE, show: Show = PLAIN) -> int:
    """The signed head of the ledger. Keep it where the program's operators cannot change it.

    Only against a checkpoint that was kept elsewhere is a ledger found out that was written anew.
    """
    with _ledger(program) as ledger:
        head = ledger.head()
        note = ledger.checkpoint()
    if output is not None:
        write_file(output, note)
    if show.json:
        print_json({"size": head.size, "root": head.root, "checkpoint": note, "output": output})
    elif output is None:
        say(note.rstrip("\n"))
    else:
        say(f"{output}: checkpoint over {counted(head.size, 'event')}")
    return 0


@app.command
def prove(
    sequence: Annotated[int, Parameter(help="The event's number, as 'ledger show' tells it.")],
    /,
    *,
    output: Output = None,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """A proof that an event is in the ledger, to be checked offline without this software."""
    with _ledger(program) as ledger:
        proof, key = ledger.prove(sequence), ledger.public_key
    if output is None:
        say(proof.to_json().rstrip("\n"))  # a proof is JSON anyway
        return 0
    write_file(output, proof.to_json())
    if show.json:
        print_json({"sequence": sequence, "size": proof.size, "root": proof.root, "output": output})
    else:
        say(f"{output}: proof that event {sequence} is in the ledger of {counted(proof.size, 'event')}")
        verifier = Path(__file__).parents[1] / "evidence_verifier.py"
        command = shlex.join(["python", str(verifier), str(output), "--public-key", key])
        say(f"To check it, with nothing but that one file and Python: {command}")
    return 0
