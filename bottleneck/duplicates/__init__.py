"""Near-duplicate search: images that occur more than once, altered or not."""
