"""What tests of the report share."""

from peers.chromium import browser

__all__ = ["browser"]
