"""Frozen networks: the catalogue, their weights, the tapped layer and the pooling."""
