"""Frozen features: their recipe, their files, and the run that makes them."""
