"""Defaults of options that ``bottleneck.toml`` in the current folder states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bottleneck.checks.ignored_checks import read_codes
from bottleneck.cli.console import say_paragraph
from bottleneck.errors import UsageError
from bottleneck.settings.config import CONFIGURATION_FILE, read_configuration


def fill_defaults(
    given: Mapping[str, Any],
    *,
    quiet: bool,
    is_backbone: Callable[[str], bool] = lambda name: False,
) -> dict[str, Any]:
    """Return options with the values of ``[defaults]`` for those that were not given.

    A note says what was taken from the file, also with ``--quiet`` where it names weights or
    checks to ignore: a downloaded project may hold that file.

    Parameters
    ----------
    given : mapping
        Values of "backbone" (list of str), "weights" (str), "heads" and "ignore" (lists of str),
        as far as the command has them; None or empty for one that was not given.
    quiet : bool
        Whether ``--quiet`` was given.
    is_backbone : callable
        Returns whether the command knows a backbone that is not in the catalogue.

    Raises
    ------
    UsageError
        If the file cannot be read, or a value that is used is no such name.
    """
    filled = dict(given)
    stated = read_configuration().defaults
    if stated is None:
        return filled
    taken = {}
    for key, value in given.items():
        default = getattr(stated, key)
        if value or default is None:
            continue
        for name in (default,) if isinstance(default, str) else default:
            try:
                _check(key, name, is_backbone)
            except UsageError as error:
                raise UsageError(f"{CONFIGURATION_FILE}: defaults.{key}: {error}") from None
        filled[key] = default if isinstance(default, str) else list(default)
        taken[key] = default if isinstance(default, str) else ", ".join(default)
    if taken and (not quiet or not taken.keys().isdisjoint(("weights", "ignore"))):
        words = "; ".join(f"{key} {names}" for key, names in taken.items())
        say_paragraph(f"default of {CONFIGURATION_FILE} in the current folder: {words}", "note: ")
    return filled


def choose_ignored(given: list[str] | None, *, quiet: bool) -> tuple[str, ...]:
    """Return the codes of ``--ignore``, or those that ``bottleneck.toml`` states.

    Raises
    ------
    UsageError
        If there is no such check.
    """
    codes: list[str] | None = fill_defaults({"ignore": given}, quiet=quiet)["ignore"]
    return read_codes(codes or ())


def _check(key: str, name: str, is_backbone: Callable[[str], bool]) -> None:
    if key == "backbone" and not is_backbone(name):
        from bottleneck.backbones.catalogue import find_encoder

        find_encoder(name)
    if key == "ignore":
        read_codes(name)
    if key == "heads":
        if ":" in name:
            # An import runs code, and the file may be of a project that was downloaded.
            raise UsageError(
                f"'{name}' would import code; a file may name the heads of this package only. "
                f"State it with --head"
            )
        from bottleneck.heads.head_catalogue import get_head

        get_head(name)
