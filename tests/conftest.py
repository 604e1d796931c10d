"""Servers that tests of several rooms are opened on: each runs once in a session, for all of them."""

from peers.s3 import ministack, scripted, seaweed

__all__ = ["ministack", "scripted", "seaweed"]
