"""The guard over the log of every test sees what it is for."""

import logging

import pytest

from peers.canaries import watching

LOGGER = logging.getLogger("vna_lifecycle.somewhere")


@pytest.mark.parametrize(
    ("said", "details"),
    [
        ("patient Doe^Jane", ()),
        ("study %s", ("1.2.826.0.1.3680043.10.1999.1",)),
        ("%d of %r", (1, {"name": "CANARY-NAME"})),
    ],
)
def test_whatever_is_logged_of_a_patient_is_seen(said: str, details: tuple[object, ...]) -> None:
    with watching() as leaks:
        LOGGER.debug(said, *details)
    assert len(leaks) == 1


def test_the_text_of_an_error_that_is_logged_with_it_is_seen() -> None:
    with watching() as leaks:
        try:
            raise ValueError("CANARY-ID-1")
        except ValueError:
            LOGGER.exception("it failed")
    assert len(leaks) == 1


def test_others_are_heard_from_warnings_on_and_short_references_are_none() -> None:
    with watching() as leaks:
        logging.getLogger("other").warning("Doe^Jane")
        logging.getLogger("other").info("Doe^Jane")
        LOGGER.info("study 7kq2m4n6p8r5t3va of the wave pilot, %d left", 3)
    assert len(leaks) == 1
