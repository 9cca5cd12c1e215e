"""The first tab of the app: predictions of new images."""
