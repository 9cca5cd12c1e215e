"""The checks of the texts that people read, which `make lint` runs."""
