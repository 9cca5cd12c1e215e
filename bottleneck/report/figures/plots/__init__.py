"""Plots of a comparison on matplotlib axes, for a paper, a poster and the page."""
