"""Entry point of the ``bottleneck`` command, in a module whose name no other package uses.

The PyPI package Bottleneck also installs a module called ``bottleneck``. If it has replaced this
package, the command must still be able to report that.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or report that another package has replaced this one."""
    import bottleneck

    # Its attributes are loaded at first use, which takes longer than all of --help.
    if "load_dataset" not in getattr(bottleneck, "__all__", ()):
        print(
            f"error: 'import bottleneck' imports {bottleneck.__file__!a}, which is not "
            "bottleneck-features: the PyPI package Bottleneck has taken its place.\n"
            "The two cannot share an environment. Repair this one with:\n"
            "  pip uninstall Bottleneck\n"
            "  pip install --force-reinstall --no-deps bottleneck-features",
            file=sys.stderr,
        )
        sys.exit(2)
    from bottleneck.cli.interrupts import end_at_once

    end_at_once()  # While the modules load, there is nothing to keep.
    if sys.argv[1:] in (["--help"], ["-h"]):
        from bottleneck.cli.help_page import main as run
    else:
        from bottleneck.cli.command_line import main as run

    run()


if __name__ == "__main__":
    main()
