"""The card of a model: what it is for, and what was measured, quoted from the results."""
