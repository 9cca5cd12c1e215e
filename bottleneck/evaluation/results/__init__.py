"""Results of a comparison, and their tables and sentences. Values only, no arithmetic."""
