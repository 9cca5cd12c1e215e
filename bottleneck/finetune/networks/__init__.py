"""The network that is trained: where it starts, and its classifier."""
