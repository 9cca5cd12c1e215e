"""Steps of a preparation: the scanned sector, text masks, and speckle filters."""
