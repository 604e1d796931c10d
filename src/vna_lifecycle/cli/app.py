"""The verbs by name, and what happens around each of them: parsing, errors, interrupts, exit codes."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Final

from cyclopts import App, CycloptsError, Parameter

from vna_lifecycle._version import __version__
from vna_lifecycle.cli import (
    accepting,
    begin,
    check,
    deciding,
    gate,
    jobs,
    ledger,
    looking,
    moving,
    profiling,
    reporting,
)
from vna_lifecycle.cli.trouble import print_defect, print_error, print_stopped, print_usage_error
from vna_lifecycle.errors import VnaLifecycleError

INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE

EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 not ready or differences found, 2 usage or configuration, 3 an archive, "
    "4 the program's own storage, 5 evidence, 6 another coordinator, 7 no DICOM object, 8 the program's state, "
    "70 a defect, 130 interrupted."
)

VERBS: Final[tuple[Callable[..., int] | App, ...]] = (
    # in the order in which a program meets them; none of these modules imports what only the work itself needs
    begin.init,
    begin.demo,
    check.check,
    moving.inventory,
    profiling.truth,
    profiling.profile,
    moving.plan,
    moving.transfer,
    accepting.accept,
    moving.run,
    jobs.app,
    moving.catch_up,
    moving.withdraw,
    deciding.remediate,
    gate.waive,
    gate.waivers,
    gate.sign,
    gate.cutover,
    deciding.pause,
    deciding.resume,
    looking.status,
    looking.findings,
    reporting.report,
    looking.compare,
    ledger.app,
    check.plugins,
)

app = App(
    name="vna-lifecycle",
    help="Move a clinical image archive as a staged, proved program. Begin with: vna-lifecycle demo DIR",
    help_epilogue=EXIT_CODES,
    help_format="plaintext",  # for the list of verbs: the Markdown renderer takes a fifth of the time
    version=__version__,
    default_parameter=Parameter(show_default=False),  # nearly all are empty, and the help says what that means
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


def _command(verb: Callable[..., int] | App, number: int) -> App:
    if not isinstance(verb, App):
        verb = App(name=verb.__name__.replace("_", "-"), default_command=verb, help_format="markdown")
    verb.sort_key = number
    return verb


for _number, _verb in enumerate(VERBS):
    app.command(_command(_verb, _number))


def run(argv: list[str]) -> int:
    """Run one verb, and turn whatever becomes of it into words and an exit code."""
    as_json = "--json" in argv  # also needed where the arguments cannot be parsed
    if logging.lastResort is not None:  # which writes warnings to standard error where nobody wants the log
        logging.lastResort.addFilter(_is_ours)
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
        print_stopped()
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on (as in "| head"); Python's own flush at the end must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as exc:  # noqa: BLE001 - a defect of ours or of a plug-in; 1 would say "not ready"
        return print_defect(exc)
    return code if isinstance(code, int) else 0


def _is_ours(record: logging.LogRecord) -> bool:
    """What other libraries log may hold patient data."""
    return record.name.startswith("vna_lifecycle")


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("vna_lifecycle")  # and no other: see `_is_ours`
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
