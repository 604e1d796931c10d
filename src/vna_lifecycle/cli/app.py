"""The verbs by name, and what happens around each of them: parsing, errors, interrupts, exit codes."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from typing import Final

from cyclopts import App, CycloptsError

from vna_lifecycle._version import __version__
from vna_lifecycle.cli.trouble import print_error, print_stopped, print_usage_error
from vna_lifecycle.errors import VnaLifecycleError

INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE

EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 not ready or differences found, 2 usage or configuration, 3 an archive, "
    "4 the program's own storage, 5 evidence, 6 another coordinator, 7 no DICOM object, 8 the program's state, "
    "70 a defect, 130 interrupted."
)

VERBS: Final[tuple[tuple[str, str, str], ...]] = (
    # name, where it is, what it does: --help shows this much without importing anything
    ("init", "begin:init", "Make a program: a folder with a commented program.toml, keys, ledger and vault."),
    ("demo", "begin:demo", "Move a small legacy archive of real files into a verified store, and explain each step."),
    (
        "check",
        "check:check",
        "Check program.toml and every archive in it: what is wrong, who answers, who can do what.",
    ),
    ("inventory", "moving:inventory", "Find out what the sources hold."),
    ("plan", "moving:plan", "Fill the waves of program.toml from the latest inventories."),
    ("transfer", "moving:transfer", "Copy a wave to the target and read every instance back; all waves unless named."),
    ("catch-up", "moving:catch_up", "Take new inventories, and find what changed at the sources since."),
    ("withdraw", "moving:withdraw", "Take this program's own copies of a wave back from the target."),
    ("remediate", "deciding:remediate", "List contents that are held for a decision, or decide which is the true one."),
    ("pause", "deciding:pause", "Stop work on a wave, or on all, after the studies in flight."),
    ("resume", "deciding:resume", "Let paused work go on."),
    ("status", "looking:status", "Where the program stands: imported and ready, side by side."),
    ("findings", "looking:findings", "What was found, with the objects it is about and what to do."),
    ("compare", "looking:compare", "Compare two archives, instance by instance, without a program."),
    ("ledger", "ledger:app", "Verify, show, sign and prove what is on record."),
    ("plugins", "check:plugins", "The kinds of archive and the checks that are installed, with their settings."),
)

app = App(
    name="vna-lifecycle",
    help="Move a clinical image archive as a staged, proved program. Begin with: vna-lifecycle demo DIR",
    help_epilogue=EXIT_CODES,
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for _number, (_name, _place, _help) in enumerate(VERBS):
    app.command(f"{__package__}.{_place}", name=_name, help=_help, sort_key=_number)


def run(argv: list[str]) -> int:
    """Run one verb, and turn whatever becomes of it into words and an exit code."""
    as_json = "--json" in argv  # also needed where the arguments cannot be parsed
    if "--verbose" in argv:
        _log_to_stderr()
    try:
        with warnings.catch_warnings():
            # pydicom's warnings quote the values that they are about: patient data, which no log may hold
            warnings.filterwarnings("ignore", module=r"pydicom\b")
            code = app(argv, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as exc:
        return print_usage_error(exc, as_json=as_json)
    except VnaLifecycleError as exc:
        return print_error(exc, as_json=as_json)
    except KeyboardInterrupt:
        print_stopped(as_json=as_json)
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on (as in "| head"); Python's own flush at the end must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception:  # noqa: BLE001 - a defect of ours or of a plug-in; 1 would say "not ready"
        sys.stderr.write(traceback.format_exc())
        sys.stderr.write("This is a defect. Nothing that was acknowledged is lost; the same command may be repeated.\n")
        return VnaLifecycleError.exit_code
    return code if isinstance(code, int) else 0


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    # Only ours: what other libraries log may hold patient data.
    logger = logging.getLogger("vna_lifecycle")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
