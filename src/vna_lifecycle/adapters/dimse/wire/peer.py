"""Whom to talk to, about what, and what was agreed: the values of an association (PS3.8 7.1.1)."""

from __future__ import annotations

import re
import ssl
from typing import Final

from attrs import field, frozen
from attrs.validators import and_, ge, le

from vna_lifecycle.model.identity import AETitle

MAX_PDU: Final = 131_072
"""The longest P-DATA-TF body that is offered to peers and, where they allow it, sent to them."""

SMALLEST_PDU: Final = 4_096
_TITLE: Final = re.compile(r"(?! +$)[ -\[\]-~]{1,16}")
MAX_CONTEXTS: Final = 128
"""Presentation context IDs are the odd numbers from 1 to 255 (PS3.8 9.3.2.2)."""


def _is_title(instance: object, attribute: object, value: AETitle) -> None:
    if not _TITLE.fullmatch(value):
        raise ValueError("an AE title has 1 to 16 ASCII characters, no backslash, and not only spaces")


@frozen(kw_only=True)
class Timeouts:
    """How long to wait, in seconds, before a peer is given up.

    ``connect`` covers TCP, TLS and the answer to the association request, each. ``answer`` is the wait for the next
    response, so it must cover a slow query. ``stall`` is how long one PDU may take once begun, and how long a peer may
    refuse to take bytes.
    """

    connect: float = 10.0
    answer: float = 120.0
    stall: float = 30.0


@frozen(kw_only=True)
class Peer:
    """An application entity to which associations are requested, and as whom. AE titles are those of PS3.5 6.2.

    ``tls`` is the context of an encrypted connection, None for a plain one; ``tls_name`` is the host name that its
    certificate must bear where that is not ``host``.
    """

    host: str
    port: int = field(validator=and_(ge(1), le(0xFFFF)))
    called: AETitle = field(validator=_is_title)
    calling: AETitle = field(validator=_is_title)
    timeouts: Timeouts = field(factory=Timeouts)
    max_pdu: int = field(default=MAX_PDU, validator=and_(ge(SMALLEST_PDU), le(1 << 20)))
    tls: ssl.SSLContext | None = None
    tls_name: str = ""


@frozen(kw_only=True)
class Context:
    """A presentation context to propose: one abstract syntax, and transfer syntaxes of which the peer takes one.

    ``scp_role`` asks that the peer may send us requests of this class on our association, as C-GET needs (PS3.7
    D.3.3.4). ``extended`` is SOP class extended negotiation, such as that of relational queries (PS3.4 C.5.1.1).
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    scp_role: bool = False
    extended: bytes = b""


@frozen(kw_only=True)
class Accepted:
    """A presentation context that both sides agreed on. ``as_scp``: the requestor may be sent requests."""

    id: int
    abstract_syntax: str
    transfer_syntax: str
    as_scp: bool = False


@frozen(kw_only=True)
class RefusedContext:
    """A presentation context that the peer did not take; ``reason`` in words (PS3.8 9.3.3.2)."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    reason: str
