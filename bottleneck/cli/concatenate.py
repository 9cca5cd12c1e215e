"""``bottleneck concatenate``: make one feature file of those of several data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bottleneck.cli.console import Json, Overwrite, Quiet, note_readers, show, show_json, show_note
from bottleneck.errors import UsageError
from bottleneck.schemas.json_schemas import JsonRecord


def concatenate(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE",
            help="Feature files of different data sets, made by one recipe, or folders of them. "
            "NAME "
            "stands for the name of the data set.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the result.", show_default="the names, joined by ' + '"),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the feature file.")] = Path("features"),
    overwrite: Overwrite = False,
    no_centre: Annotated[
        bool,
        typer.Option(
            "--no-centre", help="Do not use the name of the data set as the centre of its samples."
        ),
    ] = False,
    same_patients: Annotated[
        bool,
        typer.Option(
            "--same-patients",
            help="Treat patients with the same name in two data sets as one person. By default "
            "they are two patients.",
        ),
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make one feature file of several data sets, such as those of several hospitals.

    The id and the patient of every sample begin with the name of its data set. Compare the result
    with `--protocol centres`: a model of all other data sets is then tested on each data set.

    Example: `bottleneck concatenate features/bern--*.h5 features/basel--*.h5`
    """
    from bottleneck.features.sets.feature_set import FeatureSet

    made = []
    for members in _group([_find(text) for text in files]):
        features = FeatureSet.concatenate(
            members,
            centre=not no_centre,
            same_patients=same_patients,
            name=name,
            note=show_note(quiet=quiet),
        )
        path = features.save(output / features.file_name, overwrite=overwrite)
        sources = {
            str(one["name"]): int(one["n_samples"])
            for one in features.provenance["dataset"]["sources"]
        }
        made.append({"path": path, "n_samples": len(features), "sources": sources})
        if not as_json:
            counts = ", ".join(f"{source} {n}" for source, n in sources.items())
            show(str(path), f"  {len(features)} × {features.X.shape[1]} ({counts})")
    note_readers(output, [Path(str(one["path"])) for one in made], quiet=quiet)
    if as_json:
        show_json(JsonRecord("concatenate", {"files": made}))


def _find(text: str) -> tuple[str | None, list[Path]]:
    """Return the name before a path, and the feature files at the path."""
    from bottleneck.features.file.reader import feature_files

    before, sign, after = text.partition("=")
    named = bool(sign) and not Path(text).exists()
    if named and not (before.strip() and after):
        raise UsageError(f"'{text}' must be FILE or NAME=FILE, such as Bern=features/scans.h5")
    path = Path(after if named else text)
    found = feature_files(path) if path.is_dir() else [path]
    if not found:
        raise UsageError(f"no feature files in {path}; make some with `bottleneck extract`")
    return before if named else None, found


def _group(given: Sequence[tuple[str | None, Sequence[Path]]]) -> list[dict[str, Path]]:
    """Return the files of each recipe by the names of their data sets."""
    from bottleneck.features.file.reader import read_provenance

    recipes: dict[str, list[tuple[str, Path]]] = {}
    titles: dict[str, str] = {}
    for name, paths in given:
        for path in paths:
            record = read_provenance(path)
            recipe, dataset = record["recipe"], record["dataset"]["name"]
            recipes.setdefault(record["recipe_hash"], []).append((name or dataset, path))
            titles[record["recipe_hash"]] = f"{recipe['backbone']} ({recipe['weights']})"
    if all(len(members) == 1 for members in recipes.values()):
        # Of one recipe each: the message of the concatenation names how the recipes differ.
        return [_by_name([pair for members in recipes.values() for pair in members])]
    names = {digest: sorted(name for name, _ in members) for digest, members in recipes.items()}
    (first, expected), *others = names.items()
    for digest, own in others:
        if own != expected:
            raise UsageError(
                f"the files of {titles[first]} are of {', '.join(expected)}, and those of "
                f"{titles[digest]} of {', '.join(own)}: name a file of every recipe for each data "
                "set"
            )
    return [_by_name(members) for members in recipes.values()]


def _by_name(members: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for name, path in members:
        if name in named:
            raise UsageError(
                f"{named[name]} and {path} both come from a data set named '{name}': give each a "
                "name "
                f"of its own, as Bern={path}"
            )
        named[name] = path
    return named
