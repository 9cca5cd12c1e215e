"""Distances between samples: shift between cohorts, outliers, and nearest neighbours."""
