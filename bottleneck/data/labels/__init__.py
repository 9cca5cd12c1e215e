"""Labels: the positive class, merged classes, and the samples that a selection keeps."""
