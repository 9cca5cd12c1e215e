"""The report of a comparison: an HTML page, tables and JSON."""
