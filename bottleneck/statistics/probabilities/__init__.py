"""Predicted probabilities: calibration, sets of classes, and the net benefit at a threshold."""
