"""What models predict: new images, or their features."""
