"""Trained networks in use: prediction with the networks of a training."""
