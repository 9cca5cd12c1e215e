"""Forms in which a model is handed over: each writes a folder, and reads it as its user would."""
