"""Nested cross-validation of heads, in folds that keep leak-safe groups together."""
