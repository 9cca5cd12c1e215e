"""Feature sets: their rows and columns, parts of one, and several as one."""
