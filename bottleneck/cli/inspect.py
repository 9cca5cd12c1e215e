"""``bottleneck inspect``: show what a feature file, a model or a training holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bottleneck.cli.console import Json, Quiet, fold, show, show_json
from bottleneck.cli.named_heads import Trust, find_own_modules
from bottleneck.errors import UsageError
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.text.plurals import counted


def inspect(
    file: Annotated[
        Path,
        typer.Argument(help="A feature file (.h5), a model (.skops) or a folder of `finetune`."),
    ],
    trust: Trust = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Print what a feature file, a model or a folder of trained networks holds.

    Example: `bottleneck inspect features/phantom--resnet18--imagenet--avg--1a2b3c4d.h5`
    """
    del quiet  # Nothing but the result is printed.
    if trust and file.suffix != ".skops":
        raise UsageError("--trust is for models (.skops), and this is another file: leave it out")
    if any((file / name).is_file() for name in ("training.json", "run.json")):
        kind, facts = "training", _training(file)
        shown = {name.replace("_", " "): value for name, value in facts.items()}
    elif file.suffix == ".skops":
        kind, (facts, shown) = "model", _model(file, trust or [])
    else:
        kind, facts = "features", _features(file)
        shown = _without_lists({**facts, **facts["provenance"]})
        del shown["provenance"]
    if as_json:
        show_json(JsonRecord(f"inspect-{kind}", facts))
        return
    from bottleneck.report.redaction import readable

    for line in _lines(readable(shown)):
        show(line)


def _features(path: Path) -> dict[str, Any]:
    from collections import Counter

    from bottleneck.features.file.reader import load_features

    features = load_features(path)
    labelled = Counter(features.y[features.y != ""].tolist())
    holds = f"features of {counted(len(features), 'sample')}, {features.X.shape[1]} wide"
    if not labelled:
        holds += "; no labels"
    elif labelled.total() < len(features):
        holds += f"; {labelled.total()} of {len(features)} labelled"
    columns = {
        "patients": features.stated_patients,
        "splits": features.splits,
        "folds": features.folds,
        "centres": features.centres,
        "regions": features.regions if features.volume_regions is None else features.volume_regions,
        "lesions": features.lesions,
    }
    return {
        "file": path,
        "holds": holds,
        "labels": dict(sorted(labelled.items())),
        "patients": None
        if features.stated_patients is None
        else len(set(features.stated_patients.tolist())),
        "known": [name for name, column in columns.items() if column is not None],
        "failures": dict(features.failures),
        "provenance": features.provenance,
    }


def _without_lists(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts with the number of scans and lesions in place of thousands of their names."""
    dataset = facts["dataset"]
    if "candidates" not in dataset:
        return facts
    candidates = {
        name: len(value) if isinstance(value, dict) else value
        for name, value in dataset["candidates"].items()
    }
    return {**facts, "dataset": {**dataset, "candidates": candidates}}


def _training(path: Path) -> dict[str, Any]:
    from bottleneck.deploy.trained.trained_model import TrainedModel

    described = TrainedModel(path).describe().items()
    facts = {name.replace(" ", "_"): value for name, value in described}
    return {"file": path, "holds": "trained networks", **facts}


def _model(path: Path, trust: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all that a model keeps, and what is shown of it in words."""
    from bottleneck.deploy.models.model_fields import describe_fields
    from bottleneck.deploy.models.model_file import read_model
    from bottleneck.deploy.models.model_words import describe_model

    if trust:
        find_own_modules()
    model = read_model(path, trust=trust)
    head = {"file": path, "holds": f"a fitted {model.head} head"}
    fields = describe_fields(model)
    more = {name: fields[name] for name in ("recipe", "versions")}
    return {**head, "model": fields}, {**head, **describe_model(model), **more}


def _lines(facts: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        elif isinstance(value, list | tuple) and any(isinstance(one, dict) for one in value):
            numbered = {f"{number}": one for number, one in enumerate(value, start=1)}
            lines += [f"{indent}{key}:", *_lines(numbered, indent + "  ")]
        elif isinstance(value, list | tuple):
            lines.append(f"{indent}{key}: {', '.join(map(str, value)) or '–'}")
        else:
            text = f"{value:.6g}" if isinstance(value, float) else value
            text = "–" if value in (None, {}, "") else str(text)
            mark = f"{indent}{key}: "
            # Paths and commands stay whole, so that they can be copied.
            is_whole = key in ("file", "command") or " " not in text
            lines += [f"{mark}{text}"] if is_whole else fold(text, mark)
    return lines
