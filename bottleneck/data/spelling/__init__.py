"""Names of classes, patients and samples: their spellings, and names that state nothing."""
