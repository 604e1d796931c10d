"""A folder as an archive: any tree of DICOM files to read, and a store that this program writes."""
