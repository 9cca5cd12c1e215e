"""Inputs of a training: images or features, augmentation, and the validation set."""
