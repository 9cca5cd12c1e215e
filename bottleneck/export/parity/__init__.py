"""Whether an exported model gives the probabilities of its model, from the picture file on."""
