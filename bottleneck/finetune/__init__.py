"""Trained networks as arms: fine-tuning, and training from scratch."""
