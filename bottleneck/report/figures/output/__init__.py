"""The plots as figures: in files, and in the page."""
