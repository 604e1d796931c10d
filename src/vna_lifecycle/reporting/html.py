"""The report as one HTML file that needs nothing else: no script, no picture, no font, no request.

Everything that comes from archives or people is text: escaped by the templates, and made visible where it would
steer a reader's eyes (see `words.visible`) at the one place through which every expression passes. The page forbids
itself everything but its own style sheet, by the digest of that sheet (Content Security Policy Level 3, 2.3.1).
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from vna_lifecycle.model.counting import counted, size_text
from vna_lifecycle.reporting import charts, words
from vna_lifecycle.reporting.facts import Facts

_STYLE: Final = "report.css"
_PAGE: Final = "index.html.j2"
_SHOWN: Final = {
    "obstacles_shown": 12,
    "reasons_shown": 5,
    "names_shown": 6,
    "observed_shown": 30,
    "waves_open": 6,  # of more waves, the needs are folded away on screens
}
"""How much of what can be long is shown; the page says what it leaves out, and where that is."""
_FILTERS: Final[dict[str, Callable[..., str]]] = {
    "short": words.short,
    "number": words.number,
    "day": words.day,
    "moment": words.moment,
    "clock": words.clock,
    "joined": words.joined,
    "sentence": words.sentence,
    "plain": lambda word: word.replace("-", " "),
}


def render(facts: Facts) -> Iterator[str]:
    """The page, in pieces."""
    environment = _environment()
    style = _style()
    policy = f"default-src 'none'; style-src '{_digest(style)}'; base-uri 'none'; form-action 'none'"
    yield from environment.get_template(_PAGE).generate(facts=facts, style=style, policy=policy)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vna_lifecycle.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= _FILTERS
    environment.globals |= _SHOWN | {
        "counted": counted,
        "size_text": size_text,
        "share": words.share,
        "commands": words.commands,
        "columns": charts.columns,
        "rows": charts.rows,
        "steps": charts.steps,
        "chart_width": charts.WIDTH,
    }
    return environment


def _finalize(value: object) -> object:
    """What every expression passes through; a subclass of str is markup that a template made."""
    return words.visible(value) if type(value) is str else value


def _style() -> str:
    return resources.files(__package__).joinpath("templates", _STYLE).read_text(encoding="utf-8")


def _digest(style: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"
