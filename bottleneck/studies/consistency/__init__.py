"""Checks of whether published figures contradict each other."""
