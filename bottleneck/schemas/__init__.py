"""JSON Schema of everything that a command prints with ``--json``."""
