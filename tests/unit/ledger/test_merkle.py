"""The tree is that of RFC 6962, compared with the definitions written down as they stand there."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.ledger import merkle

LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES.append(bytes.fromhex("606162636465666768696a6b6c6d6e6f"))


def _mth(data: list[bytes]) -> bytes:  # RFC 6962, 2.1
    if not data:
        return hashlib.sha256().digest()
    if len(data) == 1:
        return hashlib.sha256(b"\x00" + data[0]).digest()
    k = max(2**power for power in range(20) if 2**power < len(data))
    return hashlib.sha256(b"\x01" + _mth(data[:k]) + _mth(data[k:])).digest()


def _path(m: int, data: list[bytes]) -> list[bytes]:  # RFC 6962, 2.1.1
    if len(data) == 1:
        return []
    k = max(2**power for power in range(20) if 2**power < len(data))
    return [*_path(m, data[:k]), _mth(data[k:])] if m < k else [*_path(m - k, data[k:]), _mth(data[:k])]


def _subproof(m: int, data: list[bytes], whole: bool) -> list[bytes]:  # RFC 6962, 2.1.2
    if m == len(data):
        return [] if whole else [_mth(data)]
    k = max(2**power for power in range(20) if 2**power < len(data))
    if m <= k:
        return [*_subproof(m, data[:k], whole), _mth(data[k:])]
    return [*_subproof(m - k, data[k:], False), _mth(data[:k])]


class _Tree:
    def __init__(self, data: list[bytes]) -> None:
        self.edge: list[bytes] = []
        self.rows: list[list[bytes]] = []
        for size, leaf in enumerate(data):
            self.rows.append(merkle.append(self.edge, size, merkle.leaf_hash(leaf)))

    def subtree(self, level: int, position: int) -> bytes:
        return self.rows[(position + 1 << level) - 1][level]


def test_the_root_over_the_leaves_that_other_implementations_publish() -> None:
    assert merkle.root_of(_Tree(LEAVES).edge).hex() == (
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    )


data_sets = st.integers(0, 70).map(lambda size: [str(number).encode() for number in range(size)])


@given(data_sets)
def test_appending_gives_the_root_of_the_definition_and_the_edge_can_be_loaded_again(data: list[bytes]) -> None:
    tree = _Tree(data)
    assert merkle.root_of(tree.edge) == _mth(data)
    assert merkle.edge_of(len(data), tree.subtree) == tree.edge


@given(data_sets.filter(bool), st.data())
def test_inclusion_paths_are_those_of_the_definition_and_hold(data: list[bytes], draw: st.DataObject) -> None:
    sequence = draw.draw(st.integers(0, len(data) - 1))
    path = merkle.inclusion_path(sequence, len(data), _Tree(data).subtree)
    assert path == _path(sequence, data)
    assert merkle.verify_inclusion(merkle.leaf_hash(data[sequence]), sequence, len(data), path, _mth(data))


@given(data_sets.filter(bool), st.data())
def test_consistency_paths_are_those_of_the_definition_and_hold(data: list[bytes], draw: st.DataObject) -> None:
    old = draw.draw(st.integers(1, len(data)))
    path = merkle.consistency_path(old, len(data), _Tree(data).subtree)
    assert path == (_subproof(old, data, True))
    assert merkle.verify_consistency(old, _mth(data[:old]), len(data), _mth(data), path)


@given(data_sets.filter(bool), st.data())
def test_an_inclusion_path_proves_nothing_else(data: list[bytes], draw: st.DataObject) -> None:
    size = len(data)
    sequence = draw.draw(st.integers(0, size - 1))
    path = _path(sequence, data)
    leaf, root = merkle.leaf_hash(data[sequence]), _mth(data)
    other = draw.draw(st.integers(-1, size + 1).filter(lambda number: number != sequence))
    assert not merkle.verify_inclusion(leaf, other, size, path, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"other"), sequence, size, path, root)
    assert not merkle.verify_inclusion(leaf, sequence, size, [*path, bytes(32)], root)
    if path:
        place = draw.draw(st.integers(0, len(path) - 1))
        assert not merkle.verify_inclusion(leaf, sequence, size, path[:place] + path[place + 1 :], root)
        changed = [*path[:place], bytes(byte ^ 1 for byte in path[place]), *path[place + 1 :]]
        assert not merkle.verify_inclusion(leaf, sequence, size, changed, root)


@given(data_sets.filter(bool), st.data())
def test_a_consistency_path_does_not_hold_for_a_changed_beginning(data: list[bytes], draw: st.DataObject) -> None:
    old = draw.draw(st.integers(1, len(data)))
    path = _subproof(old, data, True)
    place = draw.draw(st.integers(0, old - 1))
    forged = [*data[:place], b"other", *data[place + 1 : old]]
    assert not merkle.verify_consistency(old, _mth(forged), len(data), _mth(data), path)
    assert not merkle.verify_consistency(old, _mth(data[:old]), len(data), _mth([*forged, *data[old:]]), path)
    assert not merkle.verify_consistency(old, _mth(data[:old]), len(data), _mth(data), [*path, bytes(32)])
    assert not merkle.verify_consistency(len(data) + 1, _mth(data[:old]), len(data), _mth(data), path)


def test_a_path_of_another_length_than_the_tree_is_deep_proves_nothing() -> None:
    leaves = [merkle.leaf_hash(data) for data in LEAVES[:2]]
    two = merkle.node_hash(*leaves)
    assert merkle.verify_inclusion(leaves[1], 1, 2, [leaves[0]], two)
    assert not merkle.verify_inclusion(leaves[1], 0, 1, [leaves[0]], two)
    assert not merkle.verify_inclusion(leaves[1], 3, 4, [leaves[0]], two)
    assert merkle.verify_consistency(1, leaves[0], 2, two, [leaves[1]])
    assert not merkle.verify_consistency(1, leaves[0], 3, two, [leaves[1]])
    four = merkle.node_hash(two, two)
    assert not merkle.verify_consistency(1, leaves[0], 2, four, [leaves[1], two])


def test_every_tree_goes_on_from_the_empty_one() -> None:
    assert merkle.verify_consistency(0, _mth([]), 8, _mth(LEAVES), merkle.consistency_path(0, 8, _Tree(LEAVES).subtree))
    assert not merkle.verify_consistency(0, _mth([b""]), 8, _mth(LEAVES), [])


def test_there_is_no_proof_of_what_is_not_there() -> None:
    tree = _Tree(LEAVES)
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.inclusion_path(8, 8, tree.subtree)
    with pytest.raises(ValueError, match="not a beginning"):
        merkle.consistency_path(9, 8, tree.subtree)
