"""Confidence intervals and hypothesis tests on plain arrays."""
