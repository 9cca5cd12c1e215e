"""Patches of volumes: their grid, interpolation between voxels, and their picture."""
