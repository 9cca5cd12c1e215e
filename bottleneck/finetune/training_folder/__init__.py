"""The files of a training: written whole, verified when they are read, and what they record."""
