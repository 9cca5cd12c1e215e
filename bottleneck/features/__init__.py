"""Features: extraction, where it computes, and the files that hold its rows."""
