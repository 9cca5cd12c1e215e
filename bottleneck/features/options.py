"""What a call leaves open, chosen, and what it asks for in vain: precision and decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import DECODINGS, PRECISIONS, Decoding, Precision, Recipe
from bottleneck.errors import UsageError, unknown_name
from bottleneck.features.file_update import log_path

__all__ = ["check_choices", "choose_recipe", "explain_decoding"]


def check_choices(precision: str, decoding: str) -> None:
    """Refuse what is neither "auto" nor known.

    Raises
    ------
    UsageError
    """
    if precision != "auto" and precision not in PRECISIONS:
        raise unknown_name("precision", precision, ("auto", *PRECISIONS))
    if decoding != "auto" and decoding not in DECODINGS:
        raise unknown_name("decoding", decoding, ("auto", *DECODINGS))


def choose_recipe(
    folder: Path,
    name: str,
    taps: Sequence[Backbone],
    precision: Precision | Literal["auto"],
    decoding: Decoding | Literal["auto"],
    native: Callable[[], Precision],
) -> tuple[Precision, Decoding, bool]:
    """Choose precision and decoding of layers of one network.

    Parameters
    ----------
    folder : Path
        Of the feature files.
    name : str
        Of the data set.
    taps : sequence of Backbone
        The layers.
    precision, decoding : str
        "auto" takes that of the one run that is there to be continued; else the precision is
        ``native``, and the decoding the reference in fp32, and fast in reduced precision.
    native : callable
        Returns bf16 where the hardware computes in it, else fp32.

    Returns
    -------
    precision, decoding : str
        Neither "auto".
    begun : bool
        Whether there is a run to be continued.

    Raises
    ------
    UsageError
        If fp32 is to take another decoding than the reference.
    """
    begun = _begun(folder, name, taps, precision, decoding)
    if begun is not None:
        precision, decoding = begun
    if precision == "auto":
        precision = native()
    if decoding == "auto":
        decoding = "reference" if precision == "fp32" else "fast"
    elif decoding != "reference" and precision == "fp32":
        raise UsageError(
            "fp32 takes the reference decoding: leave --decode out, or say --precision bf16"
        )
    return precision, decoding, begun is not None


def _begun(
    folder: Path,
    name: str,
    taps: Sequence[Backbone],
    precision: Precision | Literal["auto"],
    decoding: Decoding | Literal["auto"],
) -> tuple[Precision, Decoding] | None:
    found: dict[Path, tuple[Precision, Decoding]] = {}
    for one in PRECISIONS if precision == "auto" else [precision]:
        for how in DECODINGS if decoding == "auto" else [decoding]:
            paths = [folder / tap.recipe(one, how).file_name(name) for tap in taps]
            if any(path.exists() or log_path(path).exists() for path in paths):
                # Where there is no fast form of a resize, both decodings name one file.
                found.setdefault(paths[0], (one, how))
    return next(iter(found.values())) if len(found) == 1 else None


def explain_decoding(recipe: Recipe, decoding: Decoding | Literal["auto"]) -> list[str]:
    """Say that a network knows the reference decoding only, where another was asked for.

    Parameters
    ----------
    recipe : Recipe
    decoding : str
        What was asked for.

    Returns
    -------
    list of str
        Notes; one or none.
    """
    how = recipe.preprocessing
    if decoding in ("auto", "reference") or how.fast() != how:
        return []
    return [
        f"{recipe.backbone}: --decode {decoding} is the reference here, for there is no other form "
        f"of its resize ({how.interpolation} of {how.resizer})"
    ]
