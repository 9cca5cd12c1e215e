"""A model as one torch module, from pixels to calibrated probabilities."""
