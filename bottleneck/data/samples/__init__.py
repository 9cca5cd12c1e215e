"""Samples of data sets: their table, checks and counts."""
