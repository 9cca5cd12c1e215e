"""DICOM files: from the header and the stored values to pixels as they are displayed."""
