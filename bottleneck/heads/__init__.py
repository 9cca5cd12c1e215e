"""Classifiers on features: their search spaces, their fit, and the files of fitted models."""
