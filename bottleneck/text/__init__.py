"""Text that is safe to print, to share and to open as a table."""
