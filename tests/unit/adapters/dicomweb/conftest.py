"""What tests of DICOMweb share: a server that is told what to answer, and one where nothing should ever arrive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina

from peers.scripted_web import Scripted


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Scripted]:
    """It is asked again as often as the tests' module says in ``ATTEMPTS``, without a wait."""
    scripted = Scripted()
    with stamina.set_testing(True, attempts=request.module.ATTEMPTS, cap=True):
        yield scripted
    scripted.close()


@pytest.fixture
def elsewhere() -> Iterator[Scripted]:
    """Another place."""
    scripted = Scripted()
    yield scripted
    scripted.close()
