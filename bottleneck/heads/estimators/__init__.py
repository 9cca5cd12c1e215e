"""scikit-learn classifiers: our own, and what is checked and recorded of others'."""
