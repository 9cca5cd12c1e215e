"""Old and new figures of a recalibrated model, side by side."""

from __future__ import annotations

from bottleneck.deploy.recalibration_result import Recalibration
from bottleneck.report.wording.labels import caveats, metric_label, metric_names
from bottleneck.report.wording.number_format import format_metric

__all__ = ["HEADER", "describe_caveats", "recalibration_rows"]

HEADER = ("", "old model", "new model, cross-validated")


def recalibration_rows(made: Recalibration) -> list[tuple[str, str, str]]:
    """Return a row for each metric: its label, and its old and new value with their intervals."""
    return [
        (metric_label(name), format_metric(made.before[name]), format_metric(made.after[name]))
        for name in metric_names([made.before, made.after])
    ]


def describe_caveats(made: Recalibration) -> str:
    """Return what the dagger of intervals means; "" where there is none."""
    reasons = caveats([made.before, made.after])
    return f"† estimate only: {'; '.join(reasons)}." if reasons else ""
