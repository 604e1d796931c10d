"""Proofs that a stranger checks offline, as values and as files (see ``docs/reference/ledger-format.md``)."""

from __future__ import annotations

import json
from functools import partial
from typing import ClassVar, Final

from attrs import asdict, frozen
from sqlalchemy import Connection

from vna_lifecycle.errors import StateError
from vna_lifecycle.ledger import merkle
from vna_lifecycle.ledger.tables import read_head, read_rows, read_subtree

_INDENT: Final = 2


@frozen(kw_only=True)
class InclusionProof:
    """That an event is in a ledger at a place. Hashes are hexadecimal.

    ``event`` is the canonical text whose UTF-8 bytes were hashed; ``path`` the siblings from the leaf to the root (RFC
    6962, 2.1.1); ``checkpoint`` the signed head over ``size`` events, or ``""`` when the ledger is not signed.
    """

    format: ClassVar[str] = "vna-lifecycle/inclusion-proof/1"
    origin: str
    sequence: int
    event: str
    size: int
    root: str
    path: tuple[str, ...]
    checkpoint: str

    @property
    def leaf(self) -> str:
        """The event's leaf hash."""
        return merkle.leaf_hash(self.event.encode()).hex()

    def holds(self) -> bool:
        """Whether the path leads to the root; the root itself is only as good as the checkpoint."""
        path = [bytes.fromhex(step) for step in self.path]
        leaf, root = bytes.fromhex(self.leaf), bytes.fromhex(self.root)
        return merkle.verify_inclusion(leaf, self.sequence, self.size, path, root)

    def to_json(self) -> str:
        """The proof file's text."""
        return json.dumps({"format": self.format, **asdict(self)}, indent=_INDENT, ensure_ascii=False) + "\n"


@frozen(kw_only=True)
class ConsistencyProof:
    """That a ledger of ``old_size`` events is the beginning of the one of ``size`` events. Hashes are hexadecimal.

    ``path`` is that of RFC 6962, 2.1.2; ``checkpoint`` the signed head over ``size`` events, or ``""``.
    """

    format: ClassVar[str] = "vna-lifecycle/consistency-proof/1"
    origin: str
    old_size: int
    old_root: str
    size: int
    root: str
    path: tuple[str, ...]
    checkpoint: str

    def holds(self) -> bool:
        """Whether the path leads to both roots; the roots themselves are only as good as their checkpoints."""
        path = [bytes.fromhex(step) for step in self.path]
        old, new = bytes.fromhex(self.old_root), bytes.fromhex(self.root)
        return merkle.verify_consistency(self.old_size, old, self.size, new, path)

    def to_json(self) -> str:
        """The proof file's text."""
        return json.dumps({"format": self.format, **asdict(self)}, indent=_INDENT, ensure_ascii=False) + "\n"


def prove_inclusion(connection: Connection, sequence: int) -> InclusionProof:
    """See `Ledger.prove`."""
    head = read_head(connection)
    if not 0 <= sequence < head.size:
        raise StateError(f"there is no event {sequence}; the ledger has {head.size}")
    (row,) = read_rows(connection, sequence, sequence + 1)
    path = merkle.inclusion_path(sequence, head.size, partial(read_subtree, connection))
    return InclusionProof(
        origin=head.origin,
        sequence=sequence,
        event=row.body.decode(),
        size=head.size,
        root=head.root,
        path=tuple(step.hex() for step in path),
        checkpoint=head.note,
    )


def prove_consistency(connection: Connection, old_size: int) -> ConsistencyProof:
    """See `Ledger.prove_consistency`."""
    head = read_head(connection)
    if not 0 <= old_size <= head.size:
        raise StateError(f"the ledger has {head.size} events, not {old_size}")
    subtree = partial(read_subtree, connection)
    path = merkle.consistency_path(old_size, head.size, subtree)
    return ConsistencyProof(
        origin=head.origin,
        old_size=old_size,
        old_root=merkle.root_of(merkle.edge_of(old_size, subtree)).hex(),
        size=head.size,
        root=head.root,
        path=tuple(step.hex() for step in path),
        checkpoint=head.note,
    )
