"""The demo's program.toml."""

from __future__ import annotations

from typing import Final

MARK: Final = "# The demo of vna-lifecycle."

NAME: Final = "Demo: old archive to new store"

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

# What shall not move, and why.
[[exclusions]]
reason = "phantom for quality assurance, no patient"
patient_ids = ["tPhantom30sep"]

# A small first wave, to learn from before everything else moves. A patient's other studies come along.
[[waves]]
name = "pilot"
modalities = ["CT", "MR"]
order = "smallest-first"
max_studies = 5

[[waves]]
name = "rest"

[execution]
workers = 2
reserve_bytes = 100_000_000    # the disk space that is always left free
"""
