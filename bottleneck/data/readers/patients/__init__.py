"""The patient and the examination of each image."""
