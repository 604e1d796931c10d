"""What arrives, and who decides about it: values and the port between the wire and whoever wants the objects."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from attrs import field, frozen

from vna_lifecycle.adapters.dimse.wire.hashing import Digest
from vna_lifecycle.adapters.dimse.wire.storing import Originator
from vna_lifecycle.errors import StorageError


@frozen(kw_only=True)
class Offer:
    """An object that a peer is about to send (C-STORE-RQ): what its command set says, none of it verified.

    ``calling`` and ``called`` are the association's AE titles. ``originator`` is the C-MOVE that caused it, where the
    sender says so (0000,1030 and 0000,1031). ``certificate`` is the SHA-256 of the client's certificate, in hex, empty
    without TLS.
    """

    calling: str
    called: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    originator: Originator | None = None
    certificate: str = ""


@frozen(kw_only=True)
class Arrival:
    """An object that has arrived whole. ``path`` is a DICOM file (PS3.10) whose data set is what came, byte for byte.

    ``size`` is the file's, ``dataset_size`` the data set's.
    """

    offer: Offer
    path: Path
    size: int
    dataset_size: int
    digest: Digest = field(repr=False, eq=False)

    @property
    def dataset_sha256(self) -> str:
        """The digest of the data set, made as its bytes passed, in hex.

        It may take a moment, in which the sender could have gone on: better asked for after `Sink.take` than within.
        """
        return self.digest.hexdigest()


class Sink(Protocol):
    """Where objects go. Called from the thread of each association, so it must be safe for threads."""

    def place(self, offer: Offer) -> Path | int:
        """A path, not yet existing, for an object that is about to come; or the status that refuses it.

        Raising `StorageError` refuses it as out of resources (A700).
        """
        ...

    def take(self, arrival: Arrival) -> int:
        """An object is there. The status is what the sender is told; the file then belongs to the sink, in any case.

        Raising `StorageError` tells the sender that it was not taken (A700); the file is removed.
        """
        ...

    def lose(self, path: Path, problem: StorageError | None) -> None:
        """What was to come to this path did not: the sender stopped, or the disk has a ``problem``. It is removed."""
        ...
