"""A PACS that speaks DIMSE and does wrong what it is told to do wrong, down to single protocol data units.

>>> from vna_lifecycle.testing.misbehaving_pacs import Faults, MisbehavingPacs
>>> from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes
>>> with MisbehavingPacs([dicom_bytes(ObjectSpec())], Faults(final_early=True)) as pacs:
...     pacs.held()
('1.2.826.0.1.3680043.10.1999.1.1.1',)

It shares no code with what it tests: its protocol data units are written by hand, its data sets by pydicom. It keeps
objects in memory, and answers at most one message at a time on each association.
"""

from vna_lifecycle.testing.misbehaving_pacs.faults import EVERYTHING, Disturbance, Faults
from vna_lifecycle.testing.misbehaving_pacs.server import MisbehavingPacs

__all__ = ["EVERYTHING", "Disturbance", "Faults", "MisbehavingPacs"]
