"""Feature sets made of other feature sets: a part of one, or several as one."""
