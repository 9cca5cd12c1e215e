"""Where the bytes of images come from: folders, archives, memory, and several data sets at once."""
