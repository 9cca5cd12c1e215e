"""Formats of volumes, one module each: every reader opens a file and returns a ``Volume``."""
