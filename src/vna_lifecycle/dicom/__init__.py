"""The one doorway to DICOM bytes: scanning, digests, frames, comparison, file-sets. pydicom is loaded when needed."""
