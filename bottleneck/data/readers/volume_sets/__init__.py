"""Readers of published data sets of volumes."""
