"""``bottleneck doctor``: check the environment."""

from __future__ import annotations

import typer

from bottleneck.cli.console import Json, Quiet, show_json, show_paragraph
from bottleneck.cli.exit_codes import ExitCode
from bottleneck.schemas.json_schemas import JsonRecord


def doctor(quiet: Quiet = False, as_json: Json = False) -> None:
    """Check environment, devices, folders, caches, extras, readers; exit 1 if a check fails.

    Example: `bottleneck doctor`
    """
    from bottleneck.doctor import diagnose

    checks = diagnose()
    if as_json:
        show_json(JsonRecord("doctor", {"checks": checks}))
    else:
        for check in checks:
            if quiet and check.state == "ok":
                continue
            show_paragraph(f"{check.what}: {check.text}", f"{check.state:<7} ")
    if any(check.state == "broken" for check in checks):
        raise typer.Exit(ExitCode.CHECK_FAILED)
