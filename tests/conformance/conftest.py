"""Servers that archives are opened on."""

from peers.healthimaging import make_place

__all__ = ["make_place"]
