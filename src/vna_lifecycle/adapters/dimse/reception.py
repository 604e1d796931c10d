"""Our listening side: one receiver for each port of this process, and who waits for what arrives there."""

from __future__ import annotations

import hashlib
import itertools
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from vna_lifecycle.adapters.dimse.letterbox import Letterbox
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.adapters.dimse.tls import listening_context
from vna_lifecycle.adapters.dimse.wire import (
    COMMITMENT_PUSH,
    UNCOMPRESSED,
    VERIFICATION,
    Admission,
    Arrival,
    CommitmentReport,
    Offer,
    Receiver,
    Service,
)
from vna_lifecycle.dicom.part10 import EXPLICIT_BIG
from vna_lifecycle.errors import ArchiveError, ConfigurationError, StorageError

_LOG: Final = logging.getLogger(__name__)
_LARGEST_ID: Final = 0xFFFF
_NOT_AUTHORIZED: Final = 0x0124

COMPRESSED: Final = (
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K Lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.4.100",  # MPEG2 Main Profile, Main Level
    "1.2.840.10008.1.2.4.101",  # MPEG2 Main Profile, High Level
    "1.2.840.10008.1.2.4.102",  # MPEG-4 AVC/H.264
    "1.2.840.10008.1.2.4.103",  # MPEG-4 AVC/H.264 BD-compatible
)
SYNTAXES: Final = (*COMPRESSED, *UNCOMPRESSED, "1.2.840.10008.1.2.1.99", EXPLICIT_BIG)
"""What we take, best first: as it is compressed, then uncompressed, then deflated and big endian."""


class Taker(Protocol):
    """Who waits for objects of one archive."""

    def place(self, offer: Offer) -> Path | int | None:
        """Where the object shall go, the status that refuses it, or None where it is none of this one's."""
        ...

    def take(self, arrival: Arrival) -> int:
        """The object is there; the status for the sender."""
        ...

    def lose(self, path: Path, problem: StorageError | None) -> None:
        """The object did not come, because of the disk where there is a ``problem``."""
        ...


class Quarantine:
    """Objects that nobody asked for, kept in a folder until a person has looked at them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)

    def place(self, offer: Offer) -> Path:
        """A name that tells nothing."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256(offer.sop_instance_uid.encode()).hexdigest()[:32]
        path = self.folder / f"{digest}.dcm"
        while path.exists():
            path = self.folder / f"{digest}-{next(self._numbers)}.dcm"
        return path

    def keep(self, path: Path, offer: Offer) -> None:
        """Move an object here."""
        path.replace(self.place(offer))

    def objects(self) -> list[Path]:
        """What is here."""
        return sorted(self.folder.glob("*.dcm"))


class Guest:
    """One archive's part of a reception: its senders, whoever waits for its objects, and where its answers go."""

    def __init__(self, settings: DimseSettings, quarantine: Quarantine, letters: Letterbox) -> None:
        self.letters = letters
        self.senders = frozenset((settings.ae_title, *settings.sender_ae_titles))
        self.certificates = frozenset(digest.lower() for digest in settings.tls_sender_certificates)
        self.quarantine = quarantine
        self._lock = threading.Lock()
        self._takers: list[Taker] = []

    @contextmanager
    def waiting(self, taker: Taker) -> Iterator[None]:
        """Offer arrivals to ``taker``, before others that wait, for as long as the ``with`` statement."""
        with self._lock:
            self._takers.insert(0, taker)
        try:
            yield
        finally:
            with self._lock:
                self._takers.remove(taker)

    def keep(self, taker: Taker) -> None:
        """Offer to ``taker`` what nobody else waits for, from now on."""
        with self._lock:
            self._takers.append(taker)

    @property
    def takers(self) -> tuple[Taker, ...]:
        """Who waits."""
        with self._lock:
            return tuple(self._takers)


class Reception:
    """A receiver and its guests. ``port`` is where it listens."""

    def __init__(self, settings: DimseSettings) -> None:
        self._title = settings.calling_ae_title
        self.terms = _terms(settings)
        self._lock = threading.Lock()
        self._guests: list[Guest] = []
        self._callers: dict[str, frozenset[str]] = {}
        self._coming: dict[Path, Taker] = {}
        self._message_ids = itertools.count(1)
        admission = Admission(title=self._title, transfer_syntaxes=_syntaxes, callers=self._callers)
        service = Service(admission=admission, sink=self, report=self.report)
        context = listening_context(settings)
        self._receiver = Receiver(service, host=settings.listen_host, port=settings.listen_port, tls=context)
        self.port = self._receiver.port

    def add(self, guest: Guest) -> None:
        """Let an archive send from now on."""
        with self._lock:
            self._guests.append(guest)
            self._admit()

    def remove(self, guest: Guest) -> bool:
        """Let it no longer; True where nobody is left."""
        with self._lock:
            self._guests.remove(guest)
            self._admit()
            return not self._guests

    def close(self) -> None:
        """Stop listening."""
        self._receiver.close()

    def failed_handshakes(self, since: float) -> tuple[str, ...]:
        """Why connections to our port did not get through TLS since then, on the monotonic clock."""
        return self._receiver.failed_handshakes(since)

    def next_message_id(self) -> int:
        """A message ID by which a C-MOVE's objects are told from those of others."""
        with self._lock:
            return next(self._message_ids) % _LARGEST_ID + 1

    def place(self, offer: Offer) -> Path | int:
        """Where somebody who waits wants the object, else the quarantine."""
        with self._lock:
            guests = [guest for guest in self._guests if offer.calling in guest.senders]
        for taker in [taker for guest in guests for taker in guest.takers]:
            place = taker.place(offer)
            if place is None:
                continue
            if isinstance(place, Path):
                with self._lock:
                    self._coming[place] = taker
            return place
        if not guests:
            return _NOT_AUTHORIZED  # the archive was closed while the association lasted
        _LOG.warning("an archive sent an object that was not asked for; it is kept in quarantine")
        return guests[0].quarantine.place(offer)

    def take(self, arrival: Arrival) -> int:
        """Hand the object to whoever wanted it."""
        with self._lock:
            taker = self._coming.pop(arrival.path, None)
        return 0 if taker is None else taker.take(arrival)

    def lose(self, path: Path, problem: StorageError | None) -> None:
        """Tell whoever wanted the object."""
        with self._lock:
            taker = self._coming.pop(path, None)
        if taker is not None:
            taker.lose(path, problem)

    def report(self, report: CommitmentReport) -> None:
        """Keep an answer to a request for storage commitment where it was asked for.

        Raises:
            ArchiveError: nobody here asked for it, which the sender is told by a processing failure.
        """
        with self._lock:
            guests = list(self._guests)
        if not any(guest.letters.take(report) for guest in guests):
            raise ArchiveError("a storage commitment report came that was not asked for")

    def _admit(self) -> None:
        titles = {title for guest in self._guests for title in guest.senders}
        for title in self._callers.keys() - titles:
            del self._callers[title]
        for title in titles:
            allowed = [guest.certificates for guest in self._guests if title in guest.senders]
            self._callers[title] = frozenset().union(*allowed) if all(allowed) else frozenset()


_RECEPTIONS: Final[dict[tuple[str, int], Reception]] = {}
_OPENING: Final = threading.Lock()


def attend(settings: DimseSettings, guest: Guest) -> Reception:
    """The reception at the settings' port, opened if it is not: archives of one program share it.

    Raises:
        ArchiveUnreachable: it cannot listen there.
        ConfigurationError: another archive listens there under another AE title, or with other certificates.
    """
    with _OPENING:
        place = (settings.listen_host, settings.listen_port)
        reception = _RECEPTIONS.get(place)
        if reception is None:
            reception = Reception(settings)
            if settings.listen_port:
                _RECEPTIONS[place] = reception
        elif reception.terms != _terms(settings):
            message = "another archive of this program listens on the same port with other settings"
            problem = ("listen_port", f"{message}: give both the same AE title and TLS, or each a port of its own")
            raise ConfigurationError(message, problems=(problem,))
        reception.add(guest)
        return reception


def leave(reception: Reception, guest: Guest) -> None:
    """Let the archive no longer send; the port is closed with the last one."""
    with _OPENING:
        if reception.remove(guest):
            for place in [place for place, known in _RECEPTIONS.items() if known is reception]:
                del _RECEPTIONS[place]
            reception.close()


def _terms(settings: DimseSettings) -> tuple[object, ...]:
    return (
        settings.calling_ae_title,
        settings.tls,
        settings.tls_ca,
        settings.tls_certificate,
        settings.tls_key,
        settings.tls_minimum,
    )


def _syntaxes(abstract_syntax: str) -> Sequence[str]:
    """What is taken of a class: any that a peer has, private and retired ones too, is one of objects."""
    return UNCOMPRESSED if abstract_syntax in (VERIFICATION, COMMITMENT_PUSH) else SYNTAXES
