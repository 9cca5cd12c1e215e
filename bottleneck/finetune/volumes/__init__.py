"""Training on volumes: their patches on the disk, and random changes to them."""
