"""Archives that are asked, read and written over DICOMweb (PS3.18)."""
