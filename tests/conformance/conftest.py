"""Servers that archives are opened on."""

from peers.s3 import ministack, seaweed

__all__ = ["ministack", "seaweed"]
