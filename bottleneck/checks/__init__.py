"""Checks of data and results: their codes, the warnings that carry them, and those to ignore."""
