"""Batches of images through a backbone, on this machine or on a Ray cluster."""
