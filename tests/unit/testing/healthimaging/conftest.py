"""What tests of the fake share."""

from peers.healthimaging import make_place, place
from peers.s3 import seaweed

__all__ = ["make_place", "place", "seaweed"]
