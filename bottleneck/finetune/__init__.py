"""Networks that are fine-tuned, or trained from scratch, on the folds of a comparison."""
