"""Servers that tests of several rooms are opened on: each runs once in a session, for all of them."""

from peers.dicomweb import other_web_archive, web_archive
from peers.s3 import ministack, scripted, seaweed

__all__ = ["ministack", "other_web_archive", "scripted", "seaweed", "web_archive"]
