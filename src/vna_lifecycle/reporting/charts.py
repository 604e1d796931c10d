"""Where the parts of a chart lie: geometry only; the templates draw it, and escape every text.

Charts are 360 units wide, so that a unit is a pixel on a phone. Every text keeps its own room: labels are thinned out
rather than laid over one another.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
import unicodedata
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from vna_lifecycle.model.counting import counted
from vna_lifecycle.reporting.facts import Amount, Moment
from vna_lifecycle.reporting.words import number, parsed, visible

WIDTH: Final = 360
_LEFT: Final = 46
_RIGHT: Final = 12
_TOP: Final = 18
_BREADTHS: Final = {"W": 1.8, "F": 1.8}
_BROAD: Final = frozenset("MWmw@%ABCDEFGHKNOPQRSTUVXYZ&")
_PLOT_HEIGHT: Final = 140
_BOTTOM: Final = 24
_LETTER: Final = 6.6  # of the charts' letters of 11 units, the usual; capitals and wide ones take more
_LINE: Final = 13
_BAR_ROW: Final = 22
_GAP: Final = 4
_NAME_WIDTH: Final = 96
_VALUE_WIDTH: Final = 62


@frozen(kw_only=True)
class Label:
    """A text at a place; ``anchor`` as in SVG."""

    x: float
    y: float
    text: str
    anchor: str = "middle"


@frozen(kw_only=True)
class Bar:
    """A rectangle for one amount; ``text`` says which and how much."""

    x: float
    y: float
    width: float
    height: float
    text: str


@frozen(kw_only=True)
class BarChart:
    """Bars with their names and values. ``grid`` are the heights of lines to read values from."""

    height: float
    bars: tuple[Bar, ...]
    labels: tuple[Label, ...]
    values: tuple[Label, ...]
    grid: tuple[float, ...] = ()
    scale: tuple[Label, ...] = ()
    left: float = _LEFT


@frozen(kw_only=True)
class LineChart:
    """Steps over time: ``imported`` and ``ready`` are SVG paths, ``planned`` the height of the goal."""

    height: float
    imported: str
    ready: str
    planned: float
    ends: tuple[Label, ...]
    grid: tuple[float, ...]
    scale: tuple[Label, ...]
    times: tuple[Label, ...]
    left: float
    right: float


def ticks(most: int) -> list[int]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from 0 to ``most`` or beyond, at most five of them."""
    step = next(
        digit * 10**power for power in itertools.count() for digit in (1, 2, 5) if digit * 10**power * 4 >= most
    )
    return list(range(0, step * max(math.ceil(most / step), 1) + 1, step))


def columns(amounts: Sequence[Amount]) -> BarChart:
    """Standing bars, for what has an order (years, sizes). Values stand on the bars where there is room."""
    marks = ticks(max((amount.studies for amount in amounts), default=0))
    left = _left(marks)
    slot = (WIDTH - _RIGHT - left) / max(len(amounts), 1)
    bars, values, labels = [], [], []
    roomy = all(_width(number(amount.studies)) + _GAP <= slot for amount in amounts)  # all values, or none
    thin = _thinned([amount.label for amount in amounts], slot)
    for place, amount in enumerate(amounts):
        height = _PLOT_HEIGHT * amount.studies / marks[-1]
        middle, top = left + slot * (place + 0.5), _TOP + _PLOT_HEIGHT - height
        wide = min(slot * 0.72, 48)
        bars.append(Bar(x=middle - wide / 2, y=top, width=wide, height=height, text=_said(amount)))
        if (len(amounts) - 1 - place) % thin == 0:  # from the end: the newest year is always named
            name = _fitting(amount.label, min(slot * thin - _GAP, 2 * (WIDTH - middle)))
            labels.append(Label(x=round(middle, 1), y=_TOP + _PLOT_HEIGHT + 16, text=name))
        if amount.studies and roomy:
            values.append(Label(x=round(middle, 1), y=round(top - 4, 1), text=number(amount.studies)))
    return BarChart(
        height=_TOP + _PLOT_HEIGHT + _BOTTOM,
        bars=tuple(bars),
        labels=tuple(labels),
        values=tuple(values),
        grid=tuple(_height(mark, marks[-1]) for mark in marks),
        scale=_scale(marks, left),
        left=left,
    )


def rows(amounts: Sequence[Amount]) -> BarChart:
    """Lying bars, for what has names (modalities): the name before, the value behind."""
    most = max((amount.studies for amount in amounts), default=0) or 1
    room = WIDTH - _NAME_WIDTH - _VALUE_WIDTH
    bars, values, labels = [], [], []
    for place, amount in enumerate(amounts):
        top, wide = place * _BAR_ROW + 3, room * amount.studies / most
        bars.append(Bar(x=_NAME_WIDTH, y=top, width=wide, height=_BAR_ROW - 7, text=_said(amount)))
        labels.append(Label(x=_NAME_WIDTH - 8, y=top + 12, text=_fitting(amount.label, _NAME_WIDTH - 10), anchor="end"))
        values.append(Label(x=_NAME_WIDTH + wide + 6, y=top + 12, text=number(amount.studies), anchor="start"))
    return BarChart(
        height=len(amounts) * _BAR_ROW + 4,
        bars=tuple(bars),
        labels=tuple(labels),
        values=tuple(values),
        left=_NAME_WIDTH,
    )


def steps(moments: Sequence[Moment], planned: int) -> LineChart:
    """Imported and ready studies over time, towards the studies that are planned."""
    marks = ticks(max(planned, *(max(moment.imported, moment.ready) for moment in moments)))
    last = moments[-1]
    ends = [
        (f"{number(count)} {word}", _height(count, marks[-1]) + 4)
        for word, count in (("planned", planned), ("imported", last.imported), ("ready", last.ready))
    ]
    left, right = _left(marks), WIDTH - max(_width(text) for text, _ in ends) - 8
    at = [parsed(moment.time) or dt.datetime.fromtimestamp(0, dt.UTC) for moment in moments]
    span = max((at[-1] - at[0]).total_seconds(), 1e-6)
    across = [left + (right - left) * (time - at[0]).total_seconds() / span for time in at]
    return LineChart(
        height=_TOP + _PLOT_HEIGHT + _BOTTOM,
        imported=_path(across, [_height(moment.imported, marks[-1]) for moment in moments]),
        ready=_path(across, [_height(moment.ready, marks[-1]) for moment in moments]),
        planned=_height(planned, marks[-1]),
        ends=_apart(ends, right + 6),
        grid=tuple(_height(mark, marks[-1]) for mark in marks),
        scale=_scale(marks, left),
        times=_times(at[0], at[-1], left, right),
        left=left,
        right=right,
    )


def _path(across: Sequence[float], down: Sequence[float]) -> str:
    drawn = [f"M{across[0]:.1f} {down[0]:.1f}"]
    drawn += [f"H{x:.1f}V{y:.1f}" for x, y in zip(across[1:], down[1:], strict=True)]
    return "".join(drawn)


def _apart(ends: Sequence[tuple[str, float]], x: float) -> tuple[Label, ...]:
    """The texts at the lines' ends, top to bottom, moved apart where they would touch."""
    ordered = sorted(ends, key=lambda end: end[1])
    heights = [height for _, height in ordered]
    for place in range(1, len(heights)):
        heights[place] = max(heights[place], heights[place - 1] + _LINE)
    lowest = _TOP + _PLOT_HEIGHT + 4.0
    for place in reversed(range(len(heights))):
        heights[place] = min(heights[place], lowest)
        lowest = heights[place] - _LINE
    return tuple(Label(x=x, y=y, text=text, anchor="start") for (text, _), y in zip(ordered, heights, strict=True))


def _times(first: dt.datetime, last: dt.datetime, left: float, right: float) -> tuple[Label, ...]:
    if (last - first) < dt.timedelta(hours=36):
        texts = [f"{time:%H:%M:%S}" for time in (first, last)]
    else:
        texts = [f"{time.day} {time:%b %Y}" for time in (first, last)]
    y = _TOP + _PLOT_HEIGHT + 16
    return (
        Label(x=left, y=y, text=texts[0], anchor="start"),
        Label(x=right, y=y, text=texts[1], anchor="end"),
    )


def _left(marks: Sequence[int]) -> float:
    return max(28.0, _width(number(marks[-1])) + 12)


def _height(value: int, most: int) -> float:
    return round(_TOP + _PLOT_HEIGHT * (1 - value / most), 1)


def _scale(marks: Sequence[int], left: float) -> tuple[Label, ...]:
    return tuple(Label(x=left - 6, y=_height(mark, marks[-1]) + 4, text=number(mark), anchor="end") for mark in marks)


def _thinned(labels: Sequence[str], slot: float) -> int:
    """Every how many-th label has room for itself; at most every tenth of them is left to be cut."""
    widest = max((_width(visible(label)) for label in labels), default=0)
    return next((thin for thin in (1, 2, 5) if widest + _GAP <= slot * thin), 10)


def _said(amount: Amount) -> str:
    return f"{amount.label}: {counted(amount.studies, 'study')}"


def _fitting(text: str, room: float) -> str:
    text = visible(text)
    if _width(text) <= room:
        return text
    while text and _width(text) + 11 > room:
        text = text[:-1]
    return f"{text}…"


def _width(text: str) -> float:
    return sum(
        _LETTER * _BREADTHS.get(unicodedata.east_asian_width(char), 1.0) * (1.5 if char in _BROAD else 1.0)
        for char in text
    )
