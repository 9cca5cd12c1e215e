"""Weights: found in a file, the weights folder or the hub, and loaded into a network."""
