"""Comparison of arms: cross-validation, metrics, and external validation."""
