"""Validated options, the ranges of their numbers, and configuration files."""
