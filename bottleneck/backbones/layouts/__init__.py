"""Layouts of weight files: how each library names the tensors of a network."""
