"""Formatting of numbers and texts for the page."""

from __future__ import annotations

import math
from typing import Any

from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.text.plain_text import without_paths

__all__ = [
    "amount",
    "bounds",
    "dagger",
    "duration",
    "format_metric",
    "p_value",
    "prose",
    "signed",
    "tenth",
    "three",
]


def prose(text: str) -> str:
    """Return a text on one line, with absolute paths reduced to their last part."""
    return " ".join(without_paths(text).split())


def three(value: float) -> str:
    """Format a number with three decimals."""
    return "n/a" if math.isnan(value) else f"{value:z.3f}".replace("-", "−").replace("inf", "∞")


def dagger(metric: Metric) -> str:
    """Return the mark of an interval that does not hold its level."""
    return "†" if metric.estimate_only else ""


def format_metric(metric: Metric | None) -> str:
    """Format a metric with three decimals, and its interval if it has one."""
    if metric is None or math.isnan(metric.value):
        return "n/a"
    return f"{metric.text}{dagger(metric)}"


def bounds(metric: Metric) -> str:
    """Format an interval, with "to" in place of a dash if a bound is negative.

    A dagger marks an interval that is an estimate only.
    """
    if metric.low is None or metric.high is None:
        return ""
    between = " to " if metric.low < 0 else "–"
    return f"{three(metric.low)}{between}{three(metric.high)}{dagger(metric)}"


def signed(value: float) -> str:
    """Format a difference with its sign."""
    return "n/a" if math.isnan(value) else f"{value:+z.3f}".replace("-", "−")


def tenth(value: float) -> str:
    """Format a number with one decimal."""
    return "n/a" if math.isnan(value) else f"{value:z.1f}".replace("-", "−")


def p_value(value: float | None, level: float = 0.05) -> str:
    """Format a p value; a dash for None.

    Rounding moves no value across the level of the test: 0.0497 is "< 0.050".
    """
    if value is None or math.isnan(value):
        return "–"
    if value < 0.001:
        return "< 0.001"
    text = f"{value:.3f}"
    return f"< {text}" if text == f"{level:.3f}" and value < level else text


def amount(key: str, value: Any) -> str:
    """Format a cost of training, by the unit in its name."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if "seconds" in key:
        return duration(value)
    if "bytes" in key:
        return f"{value / 2**30:.2f} GiB"
    return f"{value:,}" if isinstance(value, int) else prose(str(value))


def duration(seconds: float) -> str:
    """Format a duration in hours, minutes or seconds."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
