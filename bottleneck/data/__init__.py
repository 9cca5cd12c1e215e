"""Images with their labels and patients: data sets, their readers, and how pixels are prepared."""
