"""Launcher for a checkout: ``python cli.py …`` is ``bottleneck …``."""

from bottleneck_features import main

if __name__ == "__main__":
    main()
