"""Proportions: accuracy, sensitivity, specificity and predictive values, and McNemar's test."""
