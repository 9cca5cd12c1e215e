"""What networks take: images or volumes, and the preprocessing that publishers state."""
