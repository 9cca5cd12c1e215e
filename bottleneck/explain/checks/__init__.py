"""Checks of heat maps: whether they depend on the model, and whether they are in known regions."""
