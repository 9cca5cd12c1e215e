"""Volumes: CT and MR series, the regions that samples name, and how they reach a network."""
