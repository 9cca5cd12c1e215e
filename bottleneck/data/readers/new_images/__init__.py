"""Images for a fitted model, with labels or without: files, folders, tables and arrays."""
