"""Arguments that many verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

from attrs import frozen
from cyclopts import Parameter

ProgramFolder: TypeAlias = Annotated[
    Path, Parameter(name="--program", help="The program's folder; default: here.", show_default=False)
]
By: TypeAlias = Annotated[str, Parameter(name="--by", help="The person who decides.")]
Reason: TypeAlias = Annotated[str, Parameter(name="--reason", help="Why; it is put on record.")]
DryRun: TypeAlias = Annotated[
    bool, Parameter(name="--dry-run", negative=(), help="Say what would happen, and change nothing.")
]

HERE: Final = Path()


@Parameter(name="*")
@frozen(kw_only=True)
class Show:
    """How results are shown."""

    json: Annotated[bool, Parameter(negative=(), help="Print the result as JSON.")] = False
    verbose: Annotated[bool, Parameter(negative=(), help="Write the log to standard error.")] = False


PLAIN: Final = Show()
