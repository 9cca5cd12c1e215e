"""``bottleneck doctor``."""

from __future__ import annotations

import typer

from bottleneck.cli.console import Json, Quiet, show, show_json
from bottleneck.report.terminal import wrap


def doctor(quiet: Quiet = False, as_json: Json = False) -> None:
    """Check environment, devices, caches, extras, and the name clash; exit 1 if one is broken.

    Example: `bottleneck doctor`
    """
    from bottleneck.doctor import diagnose

    findings = diagnose()
    if as_json:
        show_json([{"what": f.what, "state": f.state, "text": f.text} for f in findings])
    else:
        for finding in findings:
            if quiet and finding.state == "ok":
                continue
            show(wrap(f"{finding.what}: {finding.text}", f"{finding.state:<7} "))
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)
