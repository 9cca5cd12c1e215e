"""Intervals and tests of the metrics, by patient."""
