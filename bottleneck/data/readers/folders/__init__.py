"""Data sets in folders: which level is the class, and what the files are."""
