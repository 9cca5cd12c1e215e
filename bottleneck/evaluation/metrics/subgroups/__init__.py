"""Metrics within subgroups and centres, and their differences."""
