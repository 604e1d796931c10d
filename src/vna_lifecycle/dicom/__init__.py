"""The one doorway to DICOM bytes: scanning, digests, frames, comparison and file-sets. pydicom is loaded when needed."""
