"""The help of the command, which is printed without loading the modules of its subcommands."""

from __future__ import annotations

import subprocess
import sys

from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.cli.help_page import make_help_app

HEAVY = ("numpy", "pydantic", "PIL", "sklearn", "torch", "pandas", "h5py")
PROGRAM = f"""
import sys
sys.argv = ["bottleneck", "--help"]
import bottleneck_features
try:
    bottleneck_features.main()
except SystemExit:
    pass
print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


def test_the_help_is_that_of_the_whole_command():
    runner = CliRunner()
    whole, quick = (
        runner.invoke(one, ["--help"], prog_name="bottleneck", env={"COLUMNS": "90"})
        for one in (app, make_help_app())
    )
    assert whole.exit_code == quick.exit_code == 0
    assert "compare" in quick.output
    assert quick.output == whole.output


def test_the_help_loads_no_library_for_numbers_or_images():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )
    assert "Usage: bottleneck" in done.stdout
    assert done.stderr.strip().endswith("[]")
