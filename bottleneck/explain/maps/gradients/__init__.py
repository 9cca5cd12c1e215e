"""Maps by gradients, and the decisions that have them."""
