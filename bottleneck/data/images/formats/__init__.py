"""Image formats other than DICOM."""
