"""Human readers as arms of a comparison: their tables, scales, and predictions."""
