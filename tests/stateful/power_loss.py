"""What a disk holds when the power fails: a program's system calls, replayed with only what was synced.

``python power_loss.py FOLDER COUNT SETTING`` appends COUNT events to the ledger in FOLDER, one by one, and after each
writes a line to the file ``acknowledged`` there. SETTING is SQLite's ``synchronous``: the product uses ``FULL``.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from attrs import define, field

from vna_lifecycle import database
from vna_lifecycle.ledger import Draft, Ledger
from vna_lifecycle.model.event import PlanDropped
from vna_lifecycle.program.bench import utc_now

CALLS = "pwrite64,write,fsync,fdatasync,ftruncate"
_CALL = re.compile(r'^(\w+)\(\d+<([^>]*)>(?:, (?:"((?:\\x[0-9a-f]{2})*)"\.*, )?([\d, ]*))?\) += 0*\d')


def draft(number: int) -> Draft:
    return Draft(event=PlanDropped(plan=number, reason="simulated" * 20), key=f"k{number}", actor="a")


@define
class Disk:
    """Files as they are on the medium, and the writes to each that nobody has synced yet."""

    synced: dict[str, bytearray] = field(factory=dict)
    pending: dict[str, list[tuple[int, bytes | None]]] = field(factory=dict)

    def write(self, name: str, offset: int, data: bytes | None) -> None:
        """Write, or with None cut off at the offset."""
        self.pending.setdefault(name, []).append((offset, data))

    def sync(self, name: str) -> None:
        """Everything written to the file so far is on the medium."""
        content = self.synced.setdefault(name, bytearray())
        for offset, data in self.pending.pop(name, []):
            _apply(content, offset, data)

    def after_power_loss(self, folder: Path, chance: random.Random | None) -> None:
        """What is left, in ``folder``: of the unsynced writes none, or with ``chance`` some."""
        folder.mkdir()
        for name in self.synced.keys() | self.pending.keys():
            content = bytearray(self.synced.get(name, b""))
            for offset, data in self.pending.get(name, []):
                if chance is not None and chance.random() < 0.5:
                    _apply(content, offset, data)
            if name in self.synced or content:
                (folder / name).write_bytes(content)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
    content.extend(bytes(max(0, offset - len(content))))
    if data is not None:
        content[offset : offset + len(data)] = data


def trace(folder: Path, count: int, setting: str) -> list[str]:
    """The system calls of a process that appends."""
    log = folder / "calls"
    command = ["strace", "-y", "-xx", "-s", "100000", "-e", f"trace={CALLS}", "-o", str(log)]
    subprocess.run([*command, sys.executable, __file__, str(folder), str(count), setting], check=True, timeout=120)
    return log.read_text().splitlines()


def replay(lines: list[str], before: dict[str, bytes]) -> Iterator[tuple[Disk, int]]:
    """The disk after each call, with how many events were acknowledged by then."""
    disk = Disk(synced={name: bytearray(content) for name, content in before.items()})
    acknowledged = 0
    for line in lines:
        if (call := _CALL.match(line)) is None:
            continue
        name, path, text, numbers = call.groups()
        file = Path(_decoded(path).decode()).name
        if file == "acknowledged":
            acknowledged += 1
        elif not file.startswith("ledger.db") or file.endswith("-shm"):
            continue
        elif name == "pwrite64":
            disk.write(file, int(numbers.split(",")[-1]), _decoded(text))
        elif name == "ftruncate":
            disk.write(file, int(numbers), None)
        else:
            disk.sync(file)
        yield disk, acknowledged


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()


def main(folder: Path, count: int, setting: str) -> None:
    expected = {"FULL": 2, "NORMAL": 1, "OFF": 0}[setting]
    database._DURABLE = {**database._DURABLE, "synchronous": (setting, expected)}  # type: ignore[misc]  # the defect
    with Ledger.open(folder / "ledger.db", clock=utc_now) as ledger, (folder / "acknowledged").open("wb", 0) as told:
        for number in range(count):
            ledger.append([draft(number)])
            told.write(b"x\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
