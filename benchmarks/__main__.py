"""``python -m benchmarks [names...] [--json FILE] [--quick]``: run them, show a table, keep the numbers as JSON."""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import importlib.metadata
import inspect
import json
import os
import pkgutil
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from attrs import asdict
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import benchmarks
from benchmarks import Row

HERE = Path(__file__).parent


def main(argv: list[str]) -> int:
    """Exit code 1 when a benchmark could not be run; a missed target is shown, not an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios against peers.")
    parser.add_argument("names", nargs="*", help="which ones; all of them, unless named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers are kept")
    parser.add_argument(
        "--quick", action="store_true", help="smaller data and fewer pairs: a smoke test, no measurement"
    )
    options = parser.parse_args(argv)
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    known = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "__main__")
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}")
    results: dict[str, list[Row]] = {}
    failed: dict[str, str] = {}
    for name in options.names or known:
        console.print(f"[dim]{name} ...[/dim]")
        begun = time.monotonic()
        try:
            run = getattr(importlib.import_module(f"benchmarks.{name}"), "run", None)
            if run is None:
                if options.names:
                    failed[name] = "it has no function run"
                continue
            results[name] = rows_of(run, quick=options.quick)
        except Exception:  # noqa: BLE001 - whatever breaks one benchmark, the others are still run
            failed[name] = traceback.format_exc()
        console.print(f"[dim]{name}: {time.monotonic() - begun:.0f} s[/dim]")
    console.print(table(results))
    for name, why in failed.items():
        console.print(f"[red]{name} failed[/red]\n{escape(why)}")
    file = options.json or HERE / "results" / f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"benchmark": name, **asdict(row)} for name, rows in results.items() for row in rows]
    file.write_text(
        json.dumps({"machine": machine(), "quick": options.quick, "rows": rows, "failed": failed}, indent=1)
    )
    console.print(f"kept in {file}", highlight=False)
    return 1 if failed else 0


def rows_of(run: Callable[..., list[Row | dict[str, object]]], *, quick: bool) -> list[Row]:
    """What a benchmark returns, as rows; one that knows no quick form is run in full."""
    keywords = {"quick": quick} if "quick" in inspect.signature(run).parameters else {}
    return [row if isinstance(row, Row) else Row(**row) for row in run(**keywords)]  # type: ignore[arg-type]  # converted


def table(results: dict[str, list[Row]]) -> Table:
    shown = Table(title="Ours against peers", title_justify="left")
    for heading in ("what", "ours", "peer", "unit", "ratio", "target", "", "note"):
        shown.add_column(heading, justify="right" if heading in ("ours", "peer", "ratio") else "left")
    for rows in results.values():
        shown.add_section()
        for row in rows:
            reached = {True: "[green]reached[/green]", False: "[red]missed[/red]", None: ""}[row.reached]
            numbers = [f"{value:,.4g}" if value is not None else "" for value in (row.ours, row.peer)]
            ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
            texts = [escape(text) for text in (row.unit, ratio, row.target)]
            shown.add_row(escape(row.name), *numbers, *texts, reached, escape(row.note))
    return shown


def machine() -> dict[str, object]:
    """What the numbers were measured on and with."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False)
    cpus = [line for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")]
    return {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": cpus[0].partition(": ")[2] if cpus else platform.processor(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "packages": {name: importlib.metadata.version(name) for name in ("vna-lifecycle", "pydicom", "sqlalchemy")},
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
