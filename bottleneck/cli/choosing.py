"""Options that choose samples and classes, shared by all commands that train or compare."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bottleneck.cli.console import say_paragraph
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import UsageError

if TYPE_CHECKING:
    from bottleneck.data.dataset import ImageDataset
    from bottleneck.data.labels.selection import Selection
    from bottleneck.features.sets.feature_set import FeatureSet

Data = TypeVar("Data", "ImageDataset", "FeatureSet")

PANEL = "Choosing samples and classes"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """Samples that are left out, classes that are merged, and classes that are kept."""

    exclude: Annotated[
        Path | None,
        typer.Option(
            help="First step: leave out samples. A list of ids or image paths, one per line, or a "
            "table with a column of them (CSV, .xlsx).",
            show_default=False,
            rich_help_panel=PANEL,
        ),
    ] = None
    merge: Annotated[
        list[str] | None,
        typer.Option(
            help="Second step: merge classes. NEW=A+B makes one class of A and B. May be given "
            "several times.",
            show_default=False,
            rich_help_panel=PANEL,
        ),
    ] = None
    classes: Annotated[
        list[str] | None,
        typer.Option(
            help="Last step: keep only these classes, as A,B. Default: all.",
            show_default=False,
            rich_help_panel=PANEL,
        ),
    ] = None

    @property
    def is_given(self) -> bool:
        """Whether any of the options was given."""
        return self != SelectionOptions()

    def read(self, known: Iterable[str]) -> Selection | None:
        """Return the selection; None if no option was given.

        Parameters
        ----------
        known : iterable of str
            Classes of the data set. A name may contain the characters between names.
        """
        if not self.is_given:
            return None
        from bottleneck.data.labels.selection import Selection

        known = list(known)
        merge: dict[str, Sequence[str]] = {}
        for text in self.merge or ():
            new, parts = _split_merge(text, known)
            if new in merge:
                raise UsageError(f"two merges make a class '{new}': name all its classes in one")
            merge[new] = parts
        after = [*known, *merge]
        kept = [name for text in self.classes or () for name in _split(text, ",", after)]
        return Selection(classes=kept, merge=merge, exclude=self.exclude or ())


def choose(data: Data, choosing: SelectionOptions, *, quiet: bool) -> Data:
    """Return what is chosen of a data set or of features, and print what it is."""
    selection = choosing.read(data.classes)
    if selection is None:
        return data
    chosen = data.choose(selection)
    if not quiet and (words := chosen.selection.get("words")):
        say_paragraph(f"{words}", "note: ")
    return chosen


def _split_merge(text: str, known: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the new class and its classes of NEW=A+B; a name may have the signs = and +."""
    places = [n for n, character in enumerate(text) if character == "="]
    halves = [(text[:n].strip(), text[n + 1 :]) for n in places]
    if not halves or not all(halves[0]):
        raise UsageError(f"--merge must be NEW=A+B, not '{text}'")
    fits = [(new, parts) for new, rest in halves if new for parts in _readings(rest, "+", known)]
    if len(fits) > 1:
        ways = " or ".join(f"'{new}' of {', '.join(map(repr, parts))}" for new, parts in fits[:2])
        raise UsageError(
            f"--merge '{text}' can be read in two ways, as {ways}: state it in Python, with "
            f"Selection(merge={{…}})"
        )
    new, rest = halves[0]
    return fits[0] if fits else (new, _pieces(rest, "+", f"--merge must be NEW=A+B, not '{text}'"))


def _split(text: str, mark: str, known: Sequence[str]) -> tuple[str, ...]:
    fits = _readings(text, mark, known)
    if len(fits) > 1:
        raise UsageError(
            f"--classes '{text}' can be read in two ways: state it in Python, with "
            f"Selection(classes=[…])"
        )
    message = f"--classes must be names with commas between them, not '{text}'"
    return fits[0] if fits else _pieces(text, mark, message)


def _pieces(text: str, mark: str, message: str) -> tuple[str, ...]:
    pieces = tuple(piece.strip() for piece in text.split(mark))
    if not all(pieces):
        raise UsageError(message)
    return pieces


def _readings(text: str, mark: str, known: Sequence[str]) -> list[tuple[str, ...]]:
    """Return up to two ways to read a text as known names with a mark between them."""
    pieces = text.split(mark)
    longest = 1 + max((name.count(mark) for name in known), default=0)
    # The ways to read what follows each piece, from the end.
    ways: list[list[tuple[str, ...]]] = [[] for _ in pieces] + [[()]]
    for start in reversed(range(len(pieces))):
        for end in range(start + 1, min(start + longest, len(pieces)) + 1):
            name = mark.join(pieces[start:end]).strip()
            if ways[end] and match_names([name], known):
                ways[start] += [(name, *rest) for rest in ways[end]]
        ways[start] = ways[start][:2]
    return ways[0]
