"""Frozen networks: which exist, where their weights come from, how their output is pooled."""
