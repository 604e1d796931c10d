"""What a misbehaving PACS does wrong: frozen values, which may be changed for others while it runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Literal

from attrs import field, frozen
from pydicom.dataset import Dataset


class _Everything(frozenset[str]):
    def __contains__(self, _: object) -> bool:
        return True


EVERYTHING: Final[Collection[str]] = _Everything()
"""Stands for every UID."""


@frozen(kw_only=True)
class Disturbance:
    """Something happens instead of a PDU. ``pdu`` counts those that the PACS sends on one association, from 1.

    ``instead`` is sent in its place; then the connection is closed, or with ``hold`` only left open, silently. It
    happens on the first ``times`` associations that come so far: those that are asked of the PACS ("answers"), or those
    by which it sends the objects of a C-MOVE ("objects").
    """

    pdu: int
    instead: bytes = b""
    hold: bool = False
    times: int = 1
    on: Literal["answers", "objects"] = "answers"


@frozen(kw_only=True)
class Faults:
    """Everything that can go wrong; nothing does by default. Levels are those of queries: PATIENT to IMAGE.

    Of queries: ``hierarchical`` refuses (A900) each query and retrieval that has not one value for the unique key of
    every level above its own (PS3.4 C.4.1.3.1.1); ``cap`` is the most answers that it gives, saying success;
    ``records`` are the records by which it lists a study, each as attribute keywords that differ from the objects;
    ``refuse`` is asked for the status by which a query fails, 0 for none; ``miscount`` is added to every count that it
    tells; of ``silent`` levels it answers nothing; ``availability`` is its Instance Availability; an answer about
    ``garbled`` studies at the ``garbled_at`` levels is ``garbled_pdu`` instead, and the association ends.

    Of retrievals: ``withheld`` objects are not sent where they are asked for at the ``withheld_at`` levels, and the
    final status is success all the same; ``final_early`` sends that status first; ``new_uids`` gives each object a new
    SOP Instance UID each time; ``twins`` are attributes of which it sends a second content with each object, under the
    same UID; ``no_counters`` leaves out the numbers of sub-operations; ``retrieve_status`` is the
    final status of all; at ``poison`` objects ``poison_pdu`` comes, and the association ends; ``no_originator`` leaves
    out who asked for the C-MOVE; ``deaf`` does not hear C-CANCEL.

    Of stores: ``lost`` objects are acknowledged and not kept; ``store_status`` is the answer to each; ``coerced`` are
    attributes that are changed on arrival, by keyword.

    Of the wire: ``reject`` is (result, source, reason) for every association; ``unwilling`` abstract syntaxes are not
    agreed to; ``late`` seconds pass before each message; ``drip`` seconds before each byte.
    """

    hierarchical: bool = False
    cap: int | None = None
    records: Mapping[str, Sequence[Mapping[str, str]]] = field(factory=dict)
    refuse: Callable[[Dataset], int] = lambda query: 0
    miscount: int = 0
    silent: Collection[str] = ()
    availability: str = ""
    garbled: Collection[str] = ()
    garbled_at: Collection[str] = ("STUDY", "SERIES", "IMAGE")
    garbled_pdu: bytes = b""
    withheld: Collection[str] = ()
    withheld_at: Collection[str] = ("STUDY", "SERIES", "IMAGE")
    final_early: bool = False
    new_uids: bool = False
    twins: Mapping[str, str] = field(factory=dict)
    no_counters: bool = False
    retrieve_status: int | None = None
    poison: Collection[str] = ()
    poison_pdu: bytes = b""
    no_originator: bool = False
    deaf: bool = False
    lost: Collection[str] = ()
    store_status: int = 0
    coerced: Mapping[str, str] = field(factory=dict)
    reject: tuple[int, int, int] | None = None
    unwilling: Collection[str] = ()
    late: float = 0.0
    drip: float = 0.0
    disturbance: Disturbance | None = None
