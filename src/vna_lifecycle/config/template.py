"""The program.toml that a new program begins with."""

from __future__ import annotations

from typing import Final

_TEMPLATE: Final = """\
# A migration program. `vna-lifecycle check` tells whether this file can be used, and everything that is wrong with it.
# `vna-lifecycle plugins` lists the kinds of archive and their settings. A relative path is relative to this folder.
# A secret never stands here: write "env:NAME" or "file:PATH", which is read when it is used.

[program]
name = @NAME@

# One section for each archive, under any name. `plugin` is the kind of archive; the other keys are that kind's own.
[archives.old]
plugin = "files"
path = "old"

[archives.new]
plugin = "files"
path = "new"

[migration]
sources = ["old"]              # several are consolidated; their order is their precedence
target = "new"
# readers = ["new"]            # the archives as users will see them; default: the target
# verify = "hashed"            # the read-back has the same bytes; "equivalent": the same header and pixels

# Waves are moved and accepted one after the other. Without any, one wave named "all" takes everything.
# [[waves]]
# name = "pilot"
# modalities = ["CT", "MR"]
# studied = { from = 2025-01-01 }
# order = "newest-first"       # newest-first | oldest-first | smallest-first | largest-first
# patients = "together"        # a patient's other studies come along; "split": only what matches
# max_studies = 200
#
# [[waves]]
# name = "rest"

# What shall not move at all, and why.
# [[exclusions]]
# reason = "phantoms and test images"
# descriptions = ["*phantom*", "test*"]

# What is known of a source beyond its objects.
# [sources.old]
# truth = "old-database.csv"   # an extract of its own database; without one: headers only, to be waived at cutover
# include_hidden = true        # also move what that database hides; by default neither that nor what it deleted
# beyond_dicom = [{ what = "annotations in the database", disposition = "exported as PDF, kept with the records" }]

# What makes a wave ready.
# [acceptance]
# confidence = 0.95
# max_defect_rate = 0.005
# sign_offs = ["records officer"]   # roles that must sign

# [execution]
# engine = "threads"           # threads | processes
# workers = 4                  # studies in flight at once
# max_bytes_per_second = 50_000_000
# windows = [{ days = "mon-fri", from = "19:00", to = "06:00", share = 1.0 }]
# time_zone = "Europe/Berlin"
# reserve_bytes = 1_073_741_824
# attempts = 3

# Who may decide.
# [people.mallory]
# role = "records officer"
# key = "file:keys/mallory.pub"
"""


def template(name: str) -> str:
    """A commented program.toml for a program of that name, which moves the folder ``old`` into the folder ``new``."""
    return _TEMPLATE.replace("@NAME@", _basic_string(name))


def _basic_string(text: str) -> str:
    """Text as a TOML basic string (TOML 1.0, String)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
