"""What tests of the adapter share."""

from peers.healthimaging import make_place, place
from peers.s3 import scripted, seaweed

__all__ = ["make_place", "place", "scripted", "seaweed"]
