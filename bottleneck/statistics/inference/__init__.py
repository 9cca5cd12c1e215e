"""Intervals, variances by patient, and p values: what all metrics share."""
