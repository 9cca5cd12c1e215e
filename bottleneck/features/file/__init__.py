"""Feature files: the HDF5 format, the store that writes them, and the reader."""
