"""Predictions of deployed models, and their tables."""
