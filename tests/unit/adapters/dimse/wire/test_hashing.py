"""Digests that are made while the buffer is filled again."""

from __future__ import annotations

import hashlib
import random
import threading

import pytest

from vna_lifecycle.adapters.dimse.wire.hashing import Hashing


@pytest.mark.parametrize("seed", range(8))
def test_a_digest_is_that_of_the_pieces_although_their_buffers_are_used_again(seed: int) -> None:
    chance = random.Random(seed)
    hashing = Hashing()
    buffers = [bytearray(200_000), bytearray(200_000)]
    marks = [0, 0]
    made = []
    for _ in range(6):
        digest, expected = hashing.begin(), hashlib.sha256()
        made.append((digest, expected))
        for number in range(chance.randrange(40)):
            side = number % 2
            hashing.before(marks[side])
            size = chance.choice((1, 1000, 40_000, 150_000))
            buffers[side][:size] = chance.randbytes(size)
            piece = memoryview(buffers[side])[:size]
            expected.update(piece)
            digest.update(piece)
            marks[side] = hashing.mark()
    hashing.close()
    for digest, expected in made:
        assert digest.hexdigest() == expected.hexdigest()


def test_a_thread_is_there_only_for_what_is_large_and_ends() -> None:
    before = threading.active_count()
    hashing = Hashing()
    digest = hashing.begin()
    digest.update(memoryview(bytes(1000)))
    assert threading.active_count() == before
    digest.update(memoryview(bytes(100_000)))
    [thread] = [thread for thread in threading.enumerate() if thread.name == "dimse hashing"]
    assert digest.hexdigest() == hashlib.sha256(bytes(101_000)).hexdigest()
    hashing.close()
    thread.join(10)
    assert not thread.is_alive()
