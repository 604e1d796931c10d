"""What tests of AWS's troubles share."""

from peers.s3 import scripted

__all__ = ["scripted"]
