"""The training of one network: loss, learning rate, early stopping."""
