"""Servers that tests of several rooms are opened on, once in a session, and a guard over what all tests log."""

from hypothesis import settings

from peers.canaries import nothing_planted_is_logged, planted_in_the_log
from peers.dicomweb import other_web_archive, web_archive
from peers.s3 import ministack, scripted, seaweed

__all__ = [
    "ministack",
    "nothing_planted_is_logged",
    "other_web_archive",
    "planted_in_the_log",
    "scripted",
    "seaweed",
    "web_archive",
]

# How long an example takes says how busy the machine is.
settings.register_profile("any-machine", parent=settings(), deadline=None)
settings.load_profile("any-machine")
