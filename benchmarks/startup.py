"""How long it takes to begin: importing the library, and asking the command line for help."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import time

from benchmarks import Row, interleave

IMPORT_MS = 150.0
HELP_MS = 400.0
HEAVY = ("boto3", "pynetdicom", "sqlalchemy", "pydicom", "numpy", "rich", "cyclopts")


def milliseconds(*arguments: str) -> float:
    """How long a fresh interpreter takes."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000


def loaded(statement: str) -> set[str]:
    """The modules in memory after a statement."""
    script = f"{statement}; import sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


def run(quick: bool = False) -> list[Row]:
    pairs = 5 if quick else 21
    return [imports(pairs), *([helps(pairs)] if importlib.util.find_spec("vna_lifecycle.cli.app") else [])]


def imports(pairs: int) -> Row:
    milliseconds("-c", "import vna_lifecycle")  # compiled files and the disk's cache are warm
    measured = interleave(
        lambda: milliseconds("-c", "import vna_lifecycle"), lambda: milliseconds("-c", "pass"), pairs=pairs
    )
    cost = measured.ours - measured.peer
    modules = loaded("import vna_lifecycle")
    heavy = sorted(modules & set(HEAVY))
    more = len(modules - loaded("pass"))
    return Row(
        name="import vna_lifecycle, less a bare interpreter",
        ours=cost,
        unit="ms",
        target=f"<= {IMPORT_MS:.0f} ms, nothing heavy",
        reached=cost <= IMPORT_MS and not heavy,
        note=f"{more} modules more than a bare interpreter's" + (f"; heavy: {', '.join(heavy)}" if heavy else ""),
    )


def helps(pairs: int) -> Row:
    milliseconds("-m", "vna_lifecycle", "--help")
    cost = statistics.median(milliseconds("-m", "vna_lifecycle", "--help") for _ in range(pairs))
    return Row(
        name="vna-lifecycle --help",
        ours=cost,
        unit="ms",
        target=f"<= {HELP_MS:.0f} ms",
        reached=cost <= HELP_MS,
        note=f"median of {pairs}, whole process",
    )


if __name__ == "__main__":
    for row in run():
        print(row)
