"""Differences between subgroups and between centres."""
