"""A model in use: trained, kept, and applied to new images."""
