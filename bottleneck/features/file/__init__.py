"""Feature files: the HDF5 format, its reader and writer."""
