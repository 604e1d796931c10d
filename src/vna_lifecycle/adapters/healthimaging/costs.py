"""What the service charges for."""

from __future__ import annotations


class Costs:
    """Of every data store alike."""

    def reading(self) -> str:
        """Storage in a dearer tier, and each retrieval."""
        return (
            "Reading image sets moves them to the frequent tier, which costs more for the next 30 days; the service "
            "also charges for what is retrieved."
        )
