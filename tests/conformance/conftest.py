"""Servers that archives are opened on."""

from peers.healthimaging import make_place
from peers.s3 import ministack, seaweed

__all__ = ["make_place", "ministack", "seaweed"]
