"""What the ``bottleneck`` command starts, under a name that no other package has.

The PyPI package Bottleneck installs a module of our name. Where it has taken our place, the
command must still be able to say so.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say which package stands in its way."""
    import bottleneck

    if not hasattr(bottleneck, "load_dataset"):
        print(
            f"error: 'import bottleneck' finds {bottleneck.__file__}, which is not "
            "bottleneck-features: the PyPI package Bottleneck has taken its place.\n"
            "They cannot share an environment. Mend this one with:\n"
            "  pip uninstall Bottleneck\n"
            "  pip install --force-reinstall --no-deps bottleneck-features",
            file=sys.stderr,
        )
        sys.exit(1)
    from bottleneck.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
