"""Features, labels and patients from arrays and data frames in memory."""
