"""What a pair of near-duplicates likely is: an altered copy, or a neighbouring frame."""
