"""Leak audit: samples on both sides of a split, and confounders that predict the label."""
