"""The composition root: opens everything, and is the object that users hold."""

from vna_lifecycle.program.compare import compare
from vna_lifecycle.program.program import Program

__all__ = ["Program", "compare"]
