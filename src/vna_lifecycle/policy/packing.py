"""Which studies go into one batch: as full as its limits allow, no study split that fits, the order roughly kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, Generic, TypeVar

from attrs import define, frozen

_T = TypeVar("_T")
_OPEN: Final = 16


@frozen(kw_only=True)
class BatchLimits:
    """What one batch may hold: how many ``instances``, how many bytes in all (``size``), and in the largest of them.

    None means that there is no limit. ``at_once`` is how many batches may be under way together.
    """

    instances: int | None = None
    size: int | None = None
    instance_size: int | None = None
    at_once: int | None = None


@frozen(kw_only=True)
class Share(Generic[_T]):
    """A study's instances from ``start`` up to, but not with, ``stop``, in the order of the sizes that were given."""

    study: _T
    start: int
    stop: int


@define
class _Open(Generic[_T]):
    shares: list[Share[_T]]
    instances: int = 0
    size: int = 0


def pack(studies: Iterable[tuple[_T, Sequence[int]]], limits: BatchLimits) -> Iterator[tuple[Share[_T], ...]]:
    """Batches of studies, each given with the sizes of its instances in bytes.

    A study goes into the first batch that has room for all of it, out of the last few; so a batch holds studies that
    are near each other in the given order. A study that no batch could hold is split into consecutive batches of its
    own; these should not be imported at the same time. An instance over ``limits.instance_size`` is the target's to
    refuse: here it is packed like any other.
    """
    waiting: list[_Open[_T]] = []
    for study, sizes in studies:
        total = sum(sizes)
        if not _fits(_Open([]), len(sizes), total, limits):
            yield from _split(study, sizes, limits)
            continue
        share = Share(study=study, start=0, stop=len(sizes))
        batch = next((batch for batch in waiting if _fits(batch, len(sizes), total, limits)), None)
        if batch is None:
            if len(waiting) == _OPEN:
                yield tuple(waiting.pop(0).shares)
            batch = _Open([])
            waiting.append(batch)
        batch.shares.append(share)
        batch.instances += len(sizes)
        batch.size += total
    yield from (tuple(batch.shares) for batch in waiting)


def _fits(batch: _Open[_T], instances: int, size: int, limits: BatchLimits) -> bool:
    return (limits.instances is None or batch.instances + instances <= limits.instances) and (
        limits.size is None or batch.size + size <= limits.size
    )


def _split(study: _T, sizes: Sequence[int], limits: BatchLimits) -> Iterator[tuple[Share[_T], ...]]:
    ends = [0, *accumulate(sizes)]
    start = 0
    for at in range(1, len(sizes) + 1):
        full = limits.instances is not None and at - start > limits.instances
        heavy = limits.size is not None and ends[at] - ends[start] > limits.size
        if at - start > 1 and (full or heavy):
            yield (Share(study=study, start=start, stop=at - 1),)
            start = at - 1
    yield (Share(study=study, start=start, stop=len(sizes)),)
