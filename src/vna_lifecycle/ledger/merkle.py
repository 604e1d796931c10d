"""The Merkle tree of RFC 6962, section 2.1: hashes, roots and proofs, over subtrees that somebody else stores.

A tree over n leaves is a row of perfect subtrees, one per bit set in n, largest first: its *edge*. Appending needs
the edge alone; proofs need single perfect subtrees, asked for as (level, position), of ``2**level`` leaves each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

Subtree: TypeAlias = Callable[[int, int], bytes]
"""Gives the hash of the perfect subtree (level, position): leaves ``position * 2**level`` up to the next."""

EMPTY_ROOT: Final = hashlib.sha256().digest()
_sha256 = hashlib.sha256


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf (RFC 6962, 2.1)."""
    return _sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node (RFC 6962, 2.1)."""
    return _sha256(b"\x01" + left + right).digest()


def append(edge: list[bytes], size: int, leaf: bytes) -> list[bytes]:
    """Add a leaf to a tree of ``size`` leaves: changes ``edge`` and returns the perfect subtrees that it completes.

    The first of them is the leaf itself (level 0), then each level up to the number of trailing ones of ``size``.
    """
    completed = [leaf]
    while size & 1:
        leaf = node_hash(edge.pop(), leaf)
        completed.append(leaf)
        size >>= 1
    edge.append(leaf)
    return completed


def edge_of(size: int, subtree: Subtree) -> list[bytes]:
    """The edge of a tree, largest subtree first, from stored subtrees."""
    edge: list[bytes] = []
    start = 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            edge.append(subtree(level, start >> level))
            start += 1 << level
    return edge


def root_of(edge: Sequence[bytes]) -> bytes:
    """The root of the tree with this edge."""
    if not edge:
        return EMPTY_ROOT
    root = edge[-1]
    for left in reversed(edge[:-1]):
        root = node_hash(left, root)
    return root


def inclusion_path(sequence: int, size: int, subtree: Subtree) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962, 2.1.1: the siblings from the leaf up to the root."""
    if not 0 <= sequence < size:
        raise ValueError(f"leaf {sequence} is not in a tree of {size}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if sequence < middle:
            path.append(_range_hash(middle, high, subtree))
            high = middle
        else:
            path.append(_range_hash(low, middle, subtree))
            low = middle
    return path[::-1]


def consistency_path(old_size: int, size: int, subtree: Subtree) -> list[bytes]:
    """PROOF(m, D[n]) of RFC 6962, 2.1.2; empty for an empty or an equal old tree."""
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {old_size} is not a beginning of a tree of {size}")
    if old_size in (0, size):
        return []
    path: list[bytes] = []
    low, high = 0, size
    while old_size != high:
        middle = low + _split(high - low)
        if old_size <= middle:
            path.append(_range_hash(middle, high, subtree))
            high = middle
        else:
            path.append(_range_hash(low, middle, subtree))
            low = middle
    if low:  # else the verifier knows this hash: it is the old root
        path.append(_range_hash(low, high, subtree))
    return path[::-1]


def verify_inclusion(leaf: bytes, sequence: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether ``path`` proves that ``leaf`` is at ``sequence`` (RFC 9162, 2.1.3.2)."""
    if not 0 <= sequence < size:
        return False
    node, last, here = sequence, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            here = node_hash(sibling, here)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            here = node_hash(here, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and here == root


def verify_consistency(old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether ``path`` proves that the old tree is the beginning of the new one (RFC 9162, 2.1.4.2)."""
    if not 0 <= old_size <= size:
        return False
    if old_size in (0, size):
        return not path and old_root == (root if old_size else EMPTY_ROOT)
    hashes = list(path)
    if old_size & (old_size - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    node, last = old_size - 1, size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old, new = hashes[0], hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and old == old_root and new == root


def _split(size: int) -> int:
    """The largest power of two smaller than ``size`` (k of RFC 6962)."""
    return 1 << (size - 1).bit_length() - 1


def _range_hash(low: int, high: int, subtree: Subtree) -> bytes:
    """MTH over leaves low to high, where low is a multiple of a power of two not below the range's length."""
    size = high - low
    edge = edge_of(size, lambda level, position: subtree(level, (low >> level) + position))
    return root_of(edge)
