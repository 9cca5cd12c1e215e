"""Layers of a network: access to their outputs, and pooling."""
