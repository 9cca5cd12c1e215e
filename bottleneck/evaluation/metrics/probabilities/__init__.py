"""Metrics of probabilities: calibration and decision curves."""
