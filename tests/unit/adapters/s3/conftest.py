"""Servers that buckets are opened on."""

from peers.s3 import ministack, scripted, seaweed

__all__ = ["ministack", "scripted", "seaweed"]
