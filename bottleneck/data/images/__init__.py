"""From image files to pixels: decoding, DICOM, size limits, preprocessing."""
