"""ROC analysis: areas under the curve, their differences, and free-response curves."""
