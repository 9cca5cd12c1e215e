"""Figures of merit, their uncertainty, and arms held against each other."""
