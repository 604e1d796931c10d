"""What tests of the fake share."""

from peers.healthimaging import make_place, place

__all__ = ["make_place", "place"]
