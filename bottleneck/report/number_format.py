"""How the page writes figures and texts."""

from __future__ import annotations

import math
from typing import Any

from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.report.redaction import without_paths

__all__ = ["amount", "bounds", "duration", "p_value", "prose", "signed", "three"]


def prose(text: str) -> str:
    """Write a text on one line, without the paths of a machine."""
    return " ".join(without_paths(text).split())


def three(value: float) -> str:
    """Write a figure with three decimals."""
    return "n/a" if math.isnan(value) else f"{value:z.3f}".replace("-", "−").replace("inf", "∞")


def bounds(metric: Metric) -> str:
    """Write an interval; a dash between its ends would be read as a sign where one is negative."""
    if metric.low is None or metric.high is None:
        return ""
    between = " to " if metric.low < 0 else "–"
    return f"{three(metric.low)}{between}{three(metric.high)}"


def signed(value: float) -> str:
    """Write a difference with its sign."""
    return "n/a" if math.isnan(value) else f"{value:+z.3f}".replace("-", "−")


def p_value(value: float | None) -> str:
    """Write a p-value; a dash where nothing was tested."""
    if value is None or math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def amount(key: str, value: Any) -> str:
    """Say what training cost, by what was counted."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if "seconds" in key:
        return duration(value)
    if "bytes" in key:
        return f"{value / 2**30:.2f} GiB"
    return f"{value:,}" if isinstance(value, int) else prose(str(value))


def duration(seconds: float) -> str:
    """Write a time in the units that it fills."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
