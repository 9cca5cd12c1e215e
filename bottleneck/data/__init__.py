"""Labelled images and their patients: data sets, readers, decoding, preprocessing, splits."""
