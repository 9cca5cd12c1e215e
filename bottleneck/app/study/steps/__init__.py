"""The steps of a study: what is chosen in each, what it gives, and the process that it runs in."""
