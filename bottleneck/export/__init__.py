"""Models as files that other software runs, with proof that they give the same probabilities."""
