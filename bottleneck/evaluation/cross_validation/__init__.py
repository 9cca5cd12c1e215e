"""Heads trained and tested fold by fold."""
