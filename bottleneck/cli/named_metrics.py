"""Metrics that a command line names by their import paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bottleneck.cli.named_heads import find_own_modules
from bottleneck.errors import UsageError
from bottleneck.evaluation.measures import MEASURING
from bottleneck.heads.estimators.import_path import import_object

if TYPE_CHECKING:
    from bottleneck.evaluation.metrics.own.own_metrics import MetricFunction

__all__ = ["LabelMetrics", "ScoreMetrics", "get_metrics"]

_HELP = "[NAME=]package.module:function, which is imported, also from the current folder: a metric "

_EXPECTED = "package.module:function, such as sklearn.metrics:cohen_kappa_score"

LabelMetrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help=f"{_HELP}of true and predicted classes. May be given several times.",
        show_default=False,
        rich_help_panel=MEASURING,
    ),
]
ScoreMetrics = Annotated[
    list[str] | None,
    typer.Option(
        "--score-metric",
        help="The same for a metric of 0 or 1 and the score of the positive class.",
        show_default=False,
        rich_help_panel=MEASURING,
    ),
]


def get_metrics(of_labels: list[str], of_scores: list[str]) -> dict[str, MetricFunction]:
    """Return the metrics that options name; without a name, they have that of the function.

    Raises
    ------
    UsageError
        If two have one name, or a function cannot be imported.
    """
    from bottleneck.evaluation.metrics.own.own_metrics import on_scores

    metrics: dict[str, MetricFunction] = {}
    for option, texts in (("--metric", of_labels), ("--score-metric", of_scores)):
        for text in texts:
            find_own_modules()
            given, _, path = text.rpartition("=")
            name = given or path.rpartition(":")[2].rpartition(".")[2]
            if name in metrics:
                raise UsageError(
                    f"two metrics are called '{name}': give one another name, {option} NAME={path}"
                )
            function = import_object(path, _EXPECTED)
            metrics[name] = function if option == "--metric" else on_scores(function)
    return metrics
