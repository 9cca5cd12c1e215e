"""Performance metrics of predictions, with their confidence intervals."""
