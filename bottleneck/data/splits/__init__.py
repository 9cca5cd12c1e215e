"""Training and test folds that keep each patient on one side."""
