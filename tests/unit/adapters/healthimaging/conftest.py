"""What tests of the adapter share."""

from peers.healthimaging import make_place, place

__all__ = ["make_place", "place"]
