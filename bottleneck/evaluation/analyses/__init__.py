"""Analyses that a comparison adds to its arms: choice, ensemble, margins, conflicts."""
