"""The demo's program.toml, as it is at first and as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

MARK: Final = "# The demo of vna-lifecycle."

NAME: Final = "Demo: old archive to new store"

RADIOLOGIST: Final = "rosa"
ENGINEER: Final = "emil"

PROGRAM_TOML: Final = f"""\
{MARK} Everything in this folder may be deleted.

[program]
name = "{NAME}"

# Where the images are. A program names its archives as it likes.
[archives.old]
plugin = "files"               # any tree of DICOM files; `vna-lifecycle plugins` lists the kinds of archive
path = "old"

# Where they shall be.
[archives.new]
plugin = "files"
path = "new"

[migration]
sources = ["old"]
target = "new"
verify = "hashed"              # an instance is transferred when its read-back has the same bytes

# What the old archive's own database says: headers may be stale.
[sources.old]
truth = "old-database.csv"

# A small first wave, to learn from before everything else moves. A patient's other studies come along.
[[waves]]
name = "pilot"
issuers = ["CLINIC"]

[[waves]]
name = "rest"

# Every wave is signed by a radiologist; who has a key must sign with it.
[acceptance]
sign_offs = ["radiologist"]

[people.{RADIOLOGIST}]
role = "radiologist"
key = "file:keys/{RADIOLOGIST}.pub"

[people.{ENGINEER}]
role = "engineer"

[execution]
workers = 2
reserve_bytes = 100_000_000    # the disk space that is always left free

# What shall not move, and why.
[[exclusions]]
reason = "phantom for quality assurance, no patient"
patient_ids = ["tPhantom30sep"]
"""


def exclude(folder: Path, reason: str, studies: Sequence[str]) -> None:
    """Add an exclusion to program.toml, once."""
    path = folder / "program.toml"
    text = path.read_text(encoding="utf-8")
    if f'reason = "{reason}"' in text:
        return
    listed = "".join(f'    "{study}",\n' for study in studies)
    partial = path.with_name("program.toml.partial")
    partial.write_text(f'{text}\n[[exclusions]]\nreason = "{reason}"\nstudies = [\n{listed}]\n', encoding="utf-8")
    partial.replace(path)
