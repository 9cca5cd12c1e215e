"""Compare the lines that the tests reach with the limits of pyproject.toml, folder by folder.

``make coverage`` runs this program after the tests. It reads ``coverage.json`` and the table
``[tool.coverage-by-folder]``, which holds the least per cent of each folder of ``bottleneck/``.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Print a row for each folder, and exit with 1 if one has less than its limit."""
    report = json.loads((CHECKOUT / "coverage.json").read_text(encoding="utf-8"))
    pyproject = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    limits = pyproject["tool"]["coverage-by-folder"]
    measured = per_cents(report)
    for folder, value in measured.items():
        print(f"  {folder:<16}{value:6.1f} %   at least {limits.get(folder, 'not stated')}")
    if wrong := problems(measured, limits):
        sys.exit("\n".join(wrong))


def per_cents(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the per cent of lines that were run in each folder, and in the package's own files.

    Parameters
    ----------
    report : mapping
        The JSON report of coverage.py.
    """
    run: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for name, file in report["files"].items():
        parts = PurePath(name.replace("\\", "/")).parts
        folder = parts[1] if len(parts) > 2 else parts[0]
        run[folder] += file["summary"]["covered_lines"]
        there[folder] += file["summary"]["num_statements"]
    return {folder: 100 * run[folder] / n for folder, n in sorted(there.items()) if n}


def problems(measured: Mapping[str, float], limits: Mapping[str, float]) -> list[str]:
    """Return a sentence for each folder below its limit, and for each without one."""
    wrong = []
    for folder in sorted({*measured, *limits}):
        if folder not in measured:
            wrong.append(f"[tool.coverage-by-folder] names {folder}, which has no code")
        elif folder not in limits:
            wrong.append(f"[tool.coverage-by-folder] of pyproject.toml has no limit for {folder}")
        elif measured[folder] < limits[folder]:
            wrong.append(
                f"{folder}: the tests reach {measured[folder]:.1f} % of its lines, and must reach "
                f"{limits[folder]} %"
            )
    return wrong


if __name__ == "__main__":
    main()
