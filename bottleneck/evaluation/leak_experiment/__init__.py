"""How much augmenting before the split inflates performance on a data set."""
