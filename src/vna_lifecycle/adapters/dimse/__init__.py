"""DIMSE: pulling from and pushing to archives over DICOM associations."""
