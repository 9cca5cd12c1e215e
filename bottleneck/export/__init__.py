"""Models as files that other software runs, with the proof that they give the same probabilities."""
