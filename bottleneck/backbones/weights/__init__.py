"""Weights: from a file, the weights folder or the hub into a network."""
