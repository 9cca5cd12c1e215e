"""Heads: scikit-learn classifiers on frozen features, their search, and saved models."""
