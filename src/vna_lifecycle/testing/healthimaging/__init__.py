"""A fake of AWS HealthImaging for tests: an HTTP server that boto3's ``medical-imaging`` client talks to unchanged.

It reads what was staged from a real S3 server, and does what AWS documents: import jobs with their states and result
files, image sets, primary and not, with versions, throttling and quotas; and it can be told to go wrong (`Faults`).
"""

from vna_lifecycle.testing.healthimaging.clock import HandClock
from vna_lifecycle.testing.healthimaging.faults import AWS_RATES, WARNINGS, Faults, Quotas
from vna_lifecycle.testing.healthimaging.jobs import Timing
from vna_lifecycle.testing.healthimaging.server import HealthImagingFake
from vna_lifecycle.testing.healthimaging.signature import Keys
from vna_lifecycle.testing.healthimaging.stores import Datastore, ImageSet

__all__ = [
    "AWS_RATES",
    "WARNINGS",
    "Datastore",
    "Faults",
    "HandClock",
    "HealthImagingFake",
    "ImageSet",
    "Keys",
    "Quotas",
    "Timing",
]
