"""Experiment on leakage: one classifier under protocols with and without leaks."""
