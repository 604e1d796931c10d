"""A data set from a socket to a file: written and hashed as its bytes pass, memory flat (PS3.10 7.1, PS3.4 B.2)."""

from __future__ import annotations

import errno
import logging
import os
from functools import lru_cache
from pathlib import Path
from struct import Struct
from typing import Final

from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire.arrival import Arrival, Offer, Sink
from vna_lifecycle.adapters.dimse.wire.command import Command
from vna_lifecycle.adapters.dimse.wire.link import Link, respond
from vna_lifecycle.adapters.dimse.wire.negotiation import IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION
from vna_lifecycle.adapters.dimse.wire.peer import Accepted
from vna_lifecycle.adapters.dimse.wire.reasons import violation
from vna_lifecycle.adapters.dimse.wire.status import OUT_OF_RESOURCES, PROCESSING_FAILURE
from vna_lifecycle.adapters.dimse.wire.storing import Originator
from vna_lifecycle.errors import DiskFull, StorageError

_LOG: Final = logging.getLogger(__name__)
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_PREAMBLE: Final = bytes(128) + b"DICM"
_SHORT: Final = Struct("<HH2sH").pack
_VERSION: Final = Struct("<HH2sHL").pack(2, 1, b"OB", 0, 2) + b"\0\1"
_LENGTH: Final = Struct("<HH2sHL").pack
_LONGEST_UID: Final = 64


@lru_cache(maxsize=256)
def _constant(sop_class_uid: str, transfer_syntax: str, source: str) -> tuple[bytes, bytes]:
    """The elements of group 0002 before and after the instance UID; a series has the same ones."""
    before = _VERSION + _element(0x0002, b"UI", sop_class_uid)
    after = (
        _element(0x0010, b"UI", transfer_syntax)
        + _element(0x0012, b"UI", IMPLEMENTATION_CLASS)
        + _element(0x0013, b"SH", IMPLEMENTATION_VERSION)
        + _element(0x0016, b"AE", source)
    )
    return before, after


def file_header(offer: Offer) -> bytes:
    """Preamble and file meta information for a data set that came by C-STORE (PS3.10 7.1)."""
    before, after = _constant(offer.sop_class_uid, offer.transfer_syntax, offer.calling)
    instance = _element(0x0003, b"UI", offer.sop_instance_uid)
    size = len(before) + len(instance) + len(after)
    return b"".join((_PREAMBLE, _LENGTH(2, 0, b"UL", 4, size), before, instance, after))


def _element(number: int, vr: bytes, text: str) -> bytes:
    raw = text.encode("latin_1")
    if len(raw) & 1:
        raw += b"\0" if vr == b"UI" else b" "
    return _SHORT(2, number, vr, len(raw)) + raw


def offer_of(command: Command, context: Accepted, *, calling: str, called: str, certificate: str = "") -> Offer:
    """What a C-STORE-RQ offers.

    Raises:
        ArchiveError: it names no SOP class or instance, or not with UIDs.
    """
    sop_class, instance = cs.text(command, cs.AFFECTED_CLASS), cs.text(command, cs.AFFECTED_INSTANCE)
    for uid in (sop_class, instance):
        if not 1 <= len(uid) <= _LONGEST_UID or not uid.isascii() or not uid.isprintable():
            raise violation("a C-STORE without the UIDs of its SOP class and instance")
    mover, move = cs.text(command, cs.MOVE_ORIGINATOR), cs.number(command, cs.MOVE_ORIGINATOR_MESSAGE_ID)
    return Offer(
        calling=calling,
        called=called,
        sop_class_uid=sop_class,
        sop_instance_uid=instance,
        transfer_syntax=context.transfer_syntax,
        originator=Originator(ae_title=mover, message_id=move) if mover and move is not None else None,
        certificate=certificate,
    )


def receive(
    link: Link, context: Accepted, command: Command, offer: Offer, sink: Sink, *, patience: float, limit: int | None
) -> int:
    """Take one C-STORE: stream its data set to where the sink says, and answer. Returns the status that was sent.

    What the sink does not want, or the disk does not hold, is read and dropped, so that the association goes on.

    Raises:
        ArchiveError: the peer stopped or does not keep to the protocol; what was written is removed.
    """
    if cs.required(command, cs.DATA_SET_TYPE) == cs.NO_DATA_SET:
        raise violation("a C-STORE without a data set")
    place = _asked(sink, offer)
    if isinstance(place, int):
        status = place
        _drop(link, context, patience)
    else:
        arrival = _written(link, context, offer, sink, place, patience, limit)
        status = OUT_OF_RESOURCES if arrival is None else _taken(sink, arrival)
    respond(link, context, command, status)
    return status


def _asked(sink: Sink, offer: Offer) -> Path | int:
    try:
        return sink.place(offer)
    except StorageError:
        return OUT_OF_RESOURCES
    except Exception as problem:  # noqa: BLE001 - the sink's fault is not the peer's, and what it says may identify
        _LOG.error("the sink failed before an object was received: %s", type(problem).__name__)
        return PROCESSING_FAILURE


def _taken(sink: Sink, arrival: Arrival) -> int:
    try:
        return sink.take(arrival)
    except StorageError:
        status = OUT_OF_RESOURCES
    except Exception as problem:  # noqa: BLE001 - the sink's fault is not the peer's, and what it says may identify
        _LOG.error("the sink failed after an object was received: %s", type(problem).__name__)
        status = PROCESSING_FAILURE
    arrival.path.unlink(missing_ok=True)
    return status


def _storage_error(trouble: OSError, path: Path) -> StorageError:
    if trouble.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "Free some disk space; then resume."
        return DiskFull("no space is left for an object that was received", path=path, hint=hint)
    hint = "See that the disk is mounted and that this user may write there."
    return StorageError(f"an object that was received cannot be written: {trouble.strerror}", path=path, hint=hint)


def _drop(link: Link, context: Accepted, patience: float) -> None:
    for _ in link.fragments(context, patience):
        pass


def _written(
    link: Link, context: Accepted, offer: Offer, sink: Sink, path: Path, patience: float, limit: int | None
) -> Arrival | None:
    """The object in its file; None where the disk did not take it, or it is larger than ``limit``: the sink is told."""
    digest = link.channel.hashing.begin()
    header = head = file_header(offer)
    size = 0
    try:
        descriptor = os.open(path, _CREATE, 0o600)
    except OSError as trouble:
        sink.lose(path, _storage_error(trouble, path))
        _drop(link, context, patience)
        return None
    problem: StorageError | None = None
    whole = too_long = False
    try:
        for piece in link.fragments(context, patience):
            size += len(piece)
            too_long = limit is not None and size > limit
            if problem or too_long:
                continue
            try:
                digest.update(piece)
                if os.writev(descriptor, (head, piece)) != len(head) + len(piece):
                    problem = _storage_error(OSError(errno.ENOSPC, ""), path)
                head = b""
            except OSError as trouble:
                problem = _storage_error(trouble, path)
        whole = not problem and not too_long
    finally:
        os.close(descriptor)
        if not whole:
            path.unlink(missing_ok=True)
            sink.lose(path, problem)
    if not whole:
        return None
    return Arrival(
        offer=offer,
        path=path,
        size=len(header) + size,
        dataset_size=size,
        digest=digest,
    )
