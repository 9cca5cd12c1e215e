"""Whether published figures can be true together."""
