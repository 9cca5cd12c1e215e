"""Heat maps: which places of an image speak for a class."""
