"""The command line: one module per command, which parses, calls a public function and prints."""
