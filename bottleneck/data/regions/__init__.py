"""Known regions of images: outlines and masks, and where they are on the input of a network."""
