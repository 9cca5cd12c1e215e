"""Networks of three dimensions: their architectures, with the tensor names of their publishers."""
