"""Worker processes on this machine, and Ray clusters."""
