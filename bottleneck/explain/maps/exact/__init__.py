"""Exact maps: of linear heads on averages over the places of a layer."""
