"""Worker processes on this machine, Ray clusters, and the progress of long work."""
