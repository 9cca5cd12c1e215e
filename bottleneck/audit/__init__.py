"""What stands on both sides of a split, or gives the label away."""
