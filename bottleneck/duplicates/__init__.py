"""Search for duplicates among thumbnails, and groups of images that a split must not divide."""
