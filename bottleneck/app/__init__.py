"""The app: models and comparisons in a browser, on this machine alone."""
