"""What an archive that is reached over DICOM associations needs to be told, apart from the code that opens it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from attrs import Attribute, field, frozen
from attrs.validators import optional

_TITLE: Final = re.compile(r"(?! +$)[ -\[\]-~]{1,16}")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
SMALLEST_PDU, LARGEST_PDU = 4_096, 1 << 20


def _is_title(_: object, attribute: Attribute[Any], value: str) -> None:
    if not _TITLE.fullmatch(value):
        raise ValueError("must be an AE title: 1 to 16 ASCII characters, no backslash, and not only spaces")


def _are_titles(_: object, attribute: Attribute[Any], value: tuple[str, ...]) -> None:
    if not all(_TITLE.fullmatch(title) for title in value):
        raise ValueError("each must be an AE title: 1 to 16 ASCII characters, no backslash, and not only spaces")


def _are_digests(_: object, attribute: Attribute[Any], value: tuple[str, ...]) -> None:
    if not all(_SHA256.fullmatch(digest) for digest in value):
        raise ValueError("each must be the SHA-256 of a certificate: 64 hexadecimal digits")


def _is_host(_: object, attribute: Attribute[Any], value: str) -> None:
    if not value or value != value.strip() or any(character in value for character in "/@ "):
        raise ValueError("must be a host name or an IP address")


def _between(least: float, most: float) -> Any:
    def validate(_: object, attribute: Attribute[Any], value: float) -> None:
        if not least <= value <= most:
            raise ValueError(f"must be from {least:,} to {most:,}")

    return validate


def _seconds(default: float, text: str) -> Any:
    return field(default=default, validator=_between(0.1, 86_400), metadata={"help": text})


@frozen(kw_only=True)
class DimseSettings:
    """A PACS or VNA that is asked by C-FIND, read by C-MOVE or C-GET, and written by C-STORE."""

    host: str = field(validator=_is_host, metadata={"help": "The archive's host name or IP address."})
    port: int = field(default=104, validator=_between(1, 0xFFFF), metadata={"help": "The port that it listens on."})
    ae_title: str = field(validator=_is_title, metadata={"help": "The archive's AE title."})
    calling_ae_title: str = field(
        default="VNALIFECYCLE", validator=_is_title, metadata={"help": "Our AE title, as the archive knows it."}
    )
    retrieve: Literal["move", "get", "push"] = field(
        default="move",
        metadata={
            "help": "How objects come: by C-MOVE to our port, by C-GET, or as the archive's operator sends them to our "
            "port; such an archive can be a source only."
        },
    )
    query_model: Literal["study-root", "patient-root"] = field(
        default="study-root", metadata={"help": "The information model of queries and retrievals."}
    )
    listen_host: str = field(
        default="", metadata={"help": "The address at which we take objects; empty: all of this machine."}
    )
    listen_port: int = field(
        default=11_112, validator=_between(0, 0xFFFF), metadata={"help": "The port for that; 0 takes any free one."}
    )
    sender_ae_titles: tuple[str, ...] = field(
        default=(),
        validator=_are_titles,
        metadata={"help": "AE titles, besides ae_title, under which the archive sends to us."},
    )
    associations: int | None = field(
        default=None,
        validator=optional(_between(1, 64)),
        metadata={
            "help": "Most associations that we open at the same time; without it, as many as the archive bears by "
            "what was measured, and 4 before that."
        },
    )
    attempts: int = field(
        default=5,
        validator=_between(1, 10),
        metadata={
            "help": "How often an association is requested, or a query asked, within half a minute and after ever "
            "longer waits, where the archive is busy or broke off, before that counts as failed."
        },
    )
    connect_timeout: float = _seconds(10.0, "Seconds for the connection, and for the answer to an association request.")
    answer_timeout: float = _seconds(120.0, "Seconds to wait for the next answer, such as of a slow query.")
    stall_timeout: float = _seconds(30.0, "Seconds that one PDU may take once it has begun.")
    settle_seconds: float = _seconds(
        5.0,
        "Seconds without an object, after a retrieval was said to be over, until what is missing counts as missing.",
    )
    commitment: bool = field(
        default=False,
        metadata={"help": "Ask for storage commitment of what was stored; the answer may come to our port."},
    )
    commitment_timeout: float = _seconds(
        3_600.0, "Seconds to wait for the answer to a request for storage commitment until it counts as unanswered."
    )
    canaries: bool = field(
        default=False,
        metadata={
            "help": "Let check, profile and inventory store a few synthetic objects once, of the patient "
            "VNALIFECYCLE-CANARY, to see what the archive changes. They stay there."
        },
    )
    push_quiet_seconds: float = _seconds(
        60.0, "With push: seconds in which nothing at all arrives, until what is missing of a study counts as missing."
    )
    push_longest_wait: float = _seconds(3_600.0, "With push: most seconds to wait for one study while others arrive.")
    nearline: Literal["retrieve", "list"] = field(
        default="retrieve",
        metadata={
            "help": "What to do with objects that the archive says are NEARLINE: retrieve them, for which "
            "answer_timeout must be longer than a recall takes; or list them as failures until a person has had "
            "them staged."
        },
    )
    nearline_patience: float = field(
        default=3_600.0,
        validator=_between(0, 2_592_000),
        metadata={
            "help": 'Seconds from when a study that lies nearline was first asked for, with nearline = "retrieve", '
            "until it is set aside; meanwhile it is asked for again from time to time, and others go on."
        },
    )
    max_pdu: int = field(
        default=131_072, validator=_between(SMALLEST_PDU, LARGEST_PDU), metadata={"help": "Longest PDU, in bytes."}
    )
    studies_per_part: int = field(
        default=100, validator=_between(1, 10_000), metadata={"help": "Studies above which a query is split."}
    )
    trusted_answers: int = field(
        default=50,
        validator=_between(1, 10_000),
        metadata={
            "help": "An answer with fewer studies is taken as whole; others are compared with those of its halves."
        },
    )
    tls: bool = field(default=False, metadata={"help": "Speak TLS, in both directions."})
    tls_ca: Path | None = field(
        default=None, metadata={"help": "The authority's certificates (PEM); without it, those of the machine."}
    )
    tls_certificate: Path | None = field(default=None, metadata={"help": "Our certificate, with its chain (PEM)."})
    tls_key: Path | None = field(default=None, metadata={"help": "The private key of tls_certificate (PEM)."})
    tls_minimum: Literal["1.2", "1.3"] = field(default="1.2", metadata={"help": "Oldest version of TLS."})
    tls_check_host: bool = field(
        default=True, metadata={"help": "Compare the archive's host name with its certificate."}
    )
    tls_host: str = field(default="", metadata={"help": "The name in that certificate, where it is not host."})
    tls_sender_certificates: tuple[str, ...] = field(
        default=(),
        validator=_are_digests,
        metadata={"help": "SHA-256 of the certificates of which a sender must show one; empty: any trusted one."},
    )

    @property
    def at_once(self) -> int | None:
        """How many associations were allowed; None where that is left to what is measured."""
        return self.associations

    @property
    def one_process(self) -> str:
        """Why only one process may open the archive: what it sends to us comes to one port. Empty with C-GET alone."""
        if self.retrieve == "get" and not self.commitment:
            return ""
        others = 'retrieve = "get"' if not self.commitment else 'retrieve = "get" and commitment = false'
        return f'what it sends comes to one port of ours, which one process has; set engine = "threads", or {others}'

    def __attrs_post_init__(self) -> None:
        """See that settings that belong together are together."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if not self.tls and (self.tls_ca or self.tls_certificate or self.tls_sender_certificates):
            raise ValueError("TLS settings need tls = true")
        if self.commitment and self.retrieve == "push":
            raise ValueError('an archive with retrieve = "push" is a source only: leave commitment = false')
        if self.tls and (self.retrieve != "get" or self.commitment) and self.tls_certificate is None:
            raise ValueError("to listen with TLS needs tls_certificate and tls_key")


def dimse_from_url(url: str) -> DimseSettings:
    """Settings from ``dimse://CALLING@HOST:PORT/CALLED``; objects are read by C-GET, which needs no port of ours.

    Raises:
        ValueError: the URL lacks one of these, or has more.
    """
    parts = urlsplit(url)
    form = "an archive is written dimse://CALLING@HOST:PORT/CALLED, such as dimse://VNA@10.1.2.3:104/OLDPACS"
    called = unquote(parts.path.removeprefix("/"))
    if parts.scheme != "dimse" or not parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(form)
    if not parts.hostname or not called or "/" in called:
        raise ValueError(form)
    return DimseSettings(
        host=parts.hostname,
        port=parts.port or 104,
        ae_title=called,
        calling_ae_title=unquote(parts.username),
        retrieve="get",
    )
