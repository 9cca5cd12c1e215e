"""Image files into pixels: decoding, DICOM, size limits, preprocessing."""
