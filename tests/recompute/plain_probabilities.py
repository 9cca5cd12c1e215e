"""Intervals of calibration and net benefit, from the formulas in the package's docs."""

from __future__ import annotations

import numpy as np
from plain_intervals import (
    NOTHING,
    effective_size,
    overlap,
    patient_variance,
    satterthwaite,
    t_quantile,
    wilson,
)
from plain_metrics import Table, line, shift
from scipy import special, stats


def benefit_intervals(
    table: Table, positive: str, at: float
) -> dict[str, tuple[float, float, float]]:
    """Return the net benefit of the predictions, of acting on everyone, and the difference."""
    true, acted = table.label == positive, table.share(positive) >= at
    cost, everyone = at / (1 - at), np.ones(len(true), bool)
    sides = {
        "model": (1, acted),
        "everyone": (1, everyone),
        "over_everyone": (-1, ~acted),
    }
    found = {}
    for name, (sign, chosen) in sides.items():
        hits = [(chosen & side).astype(float) for side in (true, ~true)]
        factors = [sign, -sign * cost]
        bounds = [
            wilson(hit.mean(), effective_size(hit, table.units) / overlap(table)) for hit in hits
        ]
        sums = [
            [(hit - hit.mean())[table.units == u].sum() for u in np.unique(table.units)]
            for hit in hits
        ]
        flat = min(np.std(one) for one in sums) < 1e-12
        joint = 0.0 if flat else -np.dot(*sums) / np.linalg.norm(sums[0]) / np.linalg.norm(sums[1])
        value = sum(f * hit.mean() for f, hit in zip(factors, hits, strict=True))
        ends = []
        for way in (-1, 1):
            a, b = (
                abs(f) * abs(hit.mean() - bound[0 if f * way < 0 else 1])
                for f, hit, bound in zip(factors, hits, bounds, strict=True)
            )
            ends.append(value + way * np.sqrt(max(0.0, a**2 + b**2 + 2 * joint * a * b)))
        found[name] = (float(value), *map(float, ends))
    return found


def observed_expected(table: Table, positive: str) -> tuple[float, float, float]:
    """Return the ratio of observed to expected positive samples, and its bounds."""
    true, share = table.label == positive, table.share(positive)
    influence = true / true.sum() - share / share.sum()
    sums = np.array([influence[table.units == u].sum() for u in np.unique(table.units)])
    variance = overlap(table) * np.sum(sums**2) * len(sums) / (len(sums) - 1)
    reach = t_quantile(satterthwaite([sums**2], 1.0)) * np.sqrt(variance)
    value = float(true.sum() / share.sum())
    return value, value * float(np.exp(-reach)), value * float(np.exp(reach))


def smooth_curve(table: Table, positive: str) -> dict[str, np.ndarray]:
    """Return the local lines through the outcomes by probability, by least squares."""
    true, share = (table.label == positive).astype(float), table.share(positive)
    patients = np.unique(table.units)
    at = np.linspace(*np.quantile(share, [0.01, 0.99]), 61)
    points = np.full((3, 61), np.nan)
    for n, one in enumerate(at):
        if len(np.unique(table.units[np.abs(share - one) <= 0.1])) < 5:
            continue
        reach = np.sort(np.abs(share - one))[int(0.75 * len(share)) - 1]
        root = np.sqrt(np.clip(1 - (np.abs(share - one) / reach) ** 3, 0, None) ** 3)
        design = np.column_stack([np.ones(len(share)), share - one])
        solve = np.linalg.pinv(design * root[:, None]) * root
        line = solve @ true
        own = [table.units == u for u in patients]
        squares = np.array([(solve[0] * (true - design @ line))[rows].sum() ** 2 for rows in own])
        value = float(np.clip(line[0], 0, 1))
        kish = size = 1 / sum(solve[0][rows].sum() ** 2 for rows in own)
        variance = squares.sum() * len(patients) / (len(patients) - 1)
        if 0 < value < 1 and variance > 1e-12:
            size = value * (1 - value) / variance
            ratio = stats.norm.ppf(0.975) / t_quantile(satterthwaite([squares], 1.0))
            size = min(size, max(kish, size * ratio**2))
        points[:, n] = value, *wilson(value, size / overlap(table))
    return {"predicted": at, **dict(zip(("observed", "low", "high"), points, strict=True))}


def calibration_lines(table: Table, positive: str) -> dict[str, tuple[float, float, float]]:
    """Return the slope and the intercept of the calibration with their intervals."""
    slopes, intercepts = [], []
    nothing = (np.nan, *NOTHING)
    for part in table.parts(table.repeat):
        true = (part.label == positive).astype(float)
        share = np.clip(part.share(positive), 1e-12, 1 - 1e-12)
        odds, one = special.logit(share), np.zeros(len(true))
        factor = overlap(part)

        def bounds(value, influence, one=one, part=part, factor=factor):
            variance, degrees = patient_variance(influence, one, one, part.units)
            reach = t_quantile(degrees) * np.sqrt(variance * factor) if variance > 0 else np.nan
            return value, value - reach, value + reach

        if true.all() or not true.any():
            slopes.append(nothing)
            intercepts.append(nothing)
            continue
        flat = all(np.ptp(odds[part.fold == fold]) == 0 for fold in np.unique(part.fold))
        yes, no = odds[true == 1], odds[true == 0]
        if flat or yes.min() >= no.max() or yes.max() <= no.min():
            slopes.append(nothing)
        else:
            beta, inverse = line(odds, true)
            design = np.column_stack([np.ones(len(odds)), odds])
            residual = true - special.expit(design @ beta)
            slopes.append(bounds(beta[1], (design * residual[:, None]) @ inverse[1]))
        move = shift(odds, true)
        share = special.expit(odds + move)
        weight = np.sum(share * (1 - share))
        intercepts.append(nothing if weight < 1e-12 else bounds(move, (true - share) / weight))
    return {
        "calibration_slope": tuple(map(float, np.mean(slopes, axis=0))),
        "calibration_intercept": tuple(map(float, np.mean(intercepts, axis=0))),
    }
