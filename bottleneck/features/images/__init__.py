"""Images loaded and decoded ahead of the backbone."""
