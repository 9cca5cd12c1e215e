"""Figures of the report: ROC curves, forest plots, decision curves, thumbnails, flow diagram."""
