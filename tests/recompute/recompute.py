"""Computes the numbers of a ``results.json`` again, from the predictions next to it.

    python tests/recompute/recompute.py report/ ...

It shares no code with the package and imports only numpy, scipy and pandas. It prints how many
numbers it compared, the largest deviation, and the numbers that it does not compute, with reasons.
The exit status is 1 if a number deviates by more than 1e-6, or is of a kind that it does not know.

Where the package has a fast algorithm, this script has a plain one: placement values from all
pairs, derivatives by hand, and Newton's method for the logistic regressions.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from plain_auroc import area_of, auroc_interval, auroc_test, new_centre
from plain_intervals import (
    balanced_test,
    holm,
    influence_intervals,
    joined_recalls,
    mcnemar,
    of_prevalence,
    proportion,
)
from plain_metrics import (
    Table,
    bins_of,
    brier,
    calibration_error,
    confusion,
    confusion_metrics,
    fold_areas,
    net_benefit,
    precision_of_folds,
)
from plain_probabilities import (
    benefit_intervals,
    calibration_lines,
    observed_expected,
    smooth_curve,
)

TOLERANCE = 1e-6
NOT_COMPUTED = {
    r"^format$": "version of the structure",
    r"(^|\.)dataset\.": "counts of the data set, of which the predictions may hold a part",
    r"^protocol\.": "options of the run",
    r"^audit\.": "computed from images and feature files",
    r"(^|\.)conflicts\.": "computed from predictions of samples that are left out",
    r"^features\[": "records of the extraction",
    r"\.(seconds|cost|chosen|classifier)\b": "records of the training",
    r"\.jackknife\.": "AUROCs of models that are not kept: intervals are computed from them",
    r"\.operating_points\[\]\.(target|thresholds)": "chosen on inner scores of the training sets",
    r"\.non_diagnoses\b": "samples that could not be read are not in the predictions",
    r"\.subgroup(s|_differences)\[": "the column of the subgroups is not in the predictions",
    r"\.learning_curve\.": "predictions of smaller training sets are not written",
    r"\.shifts\[": "computed from features",
    r"^choice\.": "values and upper bounds of the arms, and lower bounds from draws",
    r"(^|\.)conflicts\b": "copies with different labels are left out of the predictions",
}
Numbers = dict[str, float]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield all numbers with their paths; null is NaN."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from leaves(one, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for n, one in enumerate(value):
            yield from leaves(one, f"{path}[{n}]")
    elif value is None:
        yield path, np.nan
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


def metric(path: str, value: float, low: float = np.nan, high: float = np.nan) -> Numbers:
    known = bool(np.isfinite([value, low, high]).all())
    bounds = (low, high) if known else (np.nan, np.nan)
    return {f"{path}.value": value, f"{path}.low": bounds[0], f"{path}.high": bounds[1]}


def compute_metrics(
    path: str, table: Table, positive: str | None, prevalence: float | None
) -> Numbers:
    """Return all metrics of an arm, or of one class against the rest, with their intervals."""
    values = confusion_metrics(table, positive)
    correct, everyone = table.label == table.predicted, np.ones(len(table.ids), bool)
    values["auroc"] = float(np.mean(fold_areas(table, positive)))
    values["auprc"] = precision_of_folds(table, positive)[0]
    bounds = influence_intervals(table, positive)
    bounds["auroc"] = auroc_interval(table, positive)
    bounds["accuracy"] = proportion(table, correct, everyone)[1:]
    bounds["balanced_accuracy"] = joined_recalls(table, None, "balanced_accuracy")
    if positive is None:
        bounds["sensitivity"] = bounds["balanced_accuracy"]
        bounds["ppv"] = joined_recalls(table, None, "ppv")
    else:
        true, called = table.label == positive, table.predicted == positive
        sides = {"sensitivity": true, "specificity": ~true, "ppv": called, "npv": ~called}
        shares = {name: proportion(table, true == called, of) for name, of in sides.items()}
        bounds |= {name: share[1:] for name, share in shares.items()}
    if table.probabilities is not None:
        values["brier"] = brier(table, positive)[0]
        values["ece"] = calibration_error(table, positive)
        ratios = [observed_expected(table, name) for name in table.chosen(positive)]
        values["observed_expected"] = float(np.mean([ratio[0] for ratio in ratios]))
        if positive is not None:
            bounds["observed_expected"] = ratios[0][1:]
        lines = [calibration_lines(table, name) for name in table.chosen(positive)]
        for name in lines[0]:
            values[name] = float(np.mean([one[name][0] for one in lines]))
            if positive is not None:
                bounds[name] = lines[0][name][1:]
    numbers: Numbers = {}
    for name, value in values.items():
        numbers |= metric(f"{path}.{name}", value, *bounds.get(name, (np.nan, np.nan)))
    if positive is not None and prevalence is not None:
        at = of_prevalence(shares["sensitivity"], shares["specificity"], prevalence)
        for name, three in at.items():
            numbers |= metric(f"{path}.{name}", *map(float, three))
    return numbers


def compute_spreads(path: str, table: Table, positive: str | None) -> Numbers:
    """Return the lowest and the highest value of every metric over the repeats."""
    parts = table.parts(table.repeat)
    if len(parts) < 2:
        return {}
    each = [compute_metrics(path, part, positive, None) for part in parts]
    numbers: Numbers = {}
    for key in each[0]:
        if key.endswith(".value"):
            values = [one[key] for one in each]
            ends = (min(values), max(values))
            numbers |= {key.replace(".value", f".spread[{n}]"): v for n, v in enumerate(ends)}
    return numbers


def compute_arm(
    path: str, arm: Mapping[str, Any], table: Table, positive: str | None, prevalence: float | None
) -> Numbers:
    """Return the numbers of one arm."""
    numbers: Numbers = {f"{path}.n": len(np.unique(table.ids))}
    numbers |= compute_metrics(f"{path}.metrics", table, positive, prevalence)
    numbers |= compute_spreads(f"{path}.metrics", table, positive)
    counts = confusion(table.take(table.repeat == table.repeat.min())).tolist()
    numbers |= {f"{path}.confusion{key}": value for key, value in leaves(counts)}
    if arm.get("centres"):
        numbers |= compute_centres(f"{path}.centres", arm["centres"], table, positive)
    for name in table.classes if arm["per_class"] else ():
        numbers |= compute_metrics(f"{path}.per_class.{name}", table, name, None)
    if positive is None:
        return numbers
    true, order = table.label == positive, list(dict.fromkeys(table.fold.tolist()))
    for n, point in enumerate(arm["operating_points"]):
        limit = np.array([point["thresholds"][order.index(fold)] for fold in table.fold])
        called = table.score(positive) >= limit
        sides = {"sensitivity": true, "specificity": ~true, "ppv": called, "npv": ~called}
        for name, of in sides.items():
            three = proportion(table, true == called, of)
            numbers |= metric(f"{path}.operating_points[{n}].metrics.{name}", *three)
    if table.probabilities is None:
        return numbers
    if arm["calibration"]:
        first = table.take(table.repeat == table.repeat.min())
        bins = bins_of(first, positive)
        for n, one in enumerate(np.unique(bins)):
            where, rows = f"{path}.calibration.bins[{n}]", bins == one
            numbers[f"{where}.n"] = float(rows.sum())
            numbers[f"{where}.predicted"] = float(first.share(positive)[rows].mean())
            observed = proportion(first, first.label == positive, rows)
            numbers |= metric(f"{where}.observed", *observed)
        if arm["calibration"]["curve"]:
            for name, column in smooth_curve(table, positive).items():
                where = f"{path}.calibration.curve.{name}"
                numbers |= {f"{where}[{n}]": float(v) for n, v in enumerate(column)}
    if arm["decision_curve"]:
        at = np.linspace(0.01, 0.99, 99)
        model, everyone = net_benefit(table, positive, at)
        curve = {"thresholds": at, "model": model, "everyone": everyone}
        own = [benefit_intervals(table, positive, one) for one in at]
        for name, side in (("", "model"), ("over_everyone_", "over_everyone")):
            low, high = np.array([one[side][1:] for one in own]).T
            curve |= {f"{name}low": low, f"{name}high": high}
        for name, values in curve.items():
            numbers |= {f"{path}.decision_curve.{name}[{n}]": v for n, v in enumerate(values)}
        for n, one in enumerate(arm["net_benefits"]):
            where = f"{path}.net_benefits[{n}]"
            numbers[f"{where}.threshold"] = one["threshold"]
            for name, three in benefit_intervals(table, positive, one["threshold"]).items():
                numbers |= metric(f"{where}.{name}", *three)
    return numbers


def compute_centres(
    path: str, centres: Mapping[str, Any], table: Table, positive: str | None
) -> Numbers:
    """Return the AUROC of each centre, and the prediction for a new one."""
    numbers: Numbers = {}
    parts = table.parts(table.fold)
    areas = [area_of(part, positive) for part in parts]
    for n, (part, area) in enumerate(zip(parts, areas, strict=True)):
        where = f"{path}.each[{n}]"
        numbers[f"{where}.n_samples"] = len(np.unique(part.ids))
        numbers[f"{where}.n_patients"] = len(np.unique(part.units))
        numbers |= metric(f"{where}.auroc", area.value, *area.interval()(0.95))
    if centres["new_centre"]:
        found = new_centre([a.value for a in areas], [a.error for a in areas])
        numbers |= metric(f"{path}.new_centre", *found)
    return numbers


def compute_differences(
    path: str, rows: list[dict[str, Any]], tables: Mapping[str, Table], positive: str | None
) -> Numbers:
    """Return the differences between arms with their tests, and Holm's adjustment."""
    numbers: Numbers = {}
    primary = []
    for n, row in enumerate(rows):
        pair = tables[row["a"]], tables[row["b"]]
        shared = np.intersect1d(*(table.repeat for table in pair))
        pair = tuple(table.take(np.isin(table.repeat, shared)) for table in pair)
        numbers[f"{path}[{n}].repeats"] = 1 if row["metric"] == "accuracy" else len(shared)
        if row["metric"] == "auroc":
            found = auroc_test(*pair, positive)
        else:
            found = mcnemar(*pair) if row["metric"] == "accuracy" else balanced_test(*pair)
        names = ("difference", "low", "high", "p", "p_adjusted")
        numbers |= {f"{path}[{n}].{k}": v for k, v in zip(names, (*found, np.nan), strict=True)}
        if row["role"] == "primary":
            primary.append((n, found[3]))
    adjusted = holm(np.array([p for _, p in primary]))
    numbers |= {f"{path}[{n}].p_adjusted": a for (n, _), a in zip(primary, adjusted, strict=True)}
    return numbers


def compute_margin(
    path: str, record: dict[str, Any] | None, tables: Mapping[str, Table], positive: str | None
) -> Numbers:
    """Return the tests for non-inferiority: one-sided p values of a loss of the margin."""
    if record is None:
        return {}
    margin = 0.05  # That of the reports.
    numbers, p_values = {f"{path}.margin": margin}, []
    for n, test in enumerate(record["tests"]):
        pair = tables[test["arm"]], tables[record["reference"]]
        difference, low, high, p = auroc_test(*pair, positive, -margin)
        p_values.append(p / 2 if difference > -margin else 1 - p / 2)
        names = ("difference", "low", "high", "p")
        values = (difference, low, high, p_values[-1])
        numbers |= {f"{path}.tests[{n}].{k}": v for k, v in zip(names, values, strict=True)}
    for n, adjusted in enumerate(holm(np.array(p_values))):
        numbers[f"{path}.tests[{n}].p_adjusted"] = adjusted
    return numbers


def compute_drops(path: str, drops: list[dict[str, Any]], arms: Mapping[str, Numbers]) -> Numbers:
    """Return the differences of external and internal metrics (MOVER of independent ones)."""
    numbers: Numbers = {}
    for n, drop in enumerate(drops):
        where = f"metrics.{drop['metric']}"
        inside, outside = (
            [arms[f"{side} {drop['arm']}"][f"{where}.{key}"] for key in ("value", "low", "high")]
            for side in ("inside", "outside")
        )
        numbers |= metric(f"{path}[{n}].inside", *inside)
        numbers |= metric(f"{path}[{n}].outside", *outside)
        for end in ("spread[0]", "spread[1]"):
            known = arms[f"inside {drop['arm']}"].get(f"{where}.{end}", np.nan)
            numbers[f"{path}[{n}].inside.{end}"] = known
        (a, a_low, a_high), (b, b_low, b_high) = inside, outside
        wide = ("calibration_slope", "calibration_intercept", "observed_expected")
        reach = {"mcc": 2.0} | dict.fromkeys(wide, np.inf)
        most = reach.get(drop["metric"], 1.0)
        low = b - a - np.hypot(b - b_low, a_high - a)
        high = b - a + np.hypot(b_high - b, a - a_low)
        numbers |= metric(f"{path}[{n}].difference", b - a, max(low, -most), min(high, most))
    return numbers


def compute(results: Mapping[str, Any], folder: Path) -> Numbers:
    """Return all numbers that can be computed from the predictions."""
    positive = results["positive"]
    prevalence = results["protocol"].get("prevalence")
    options = {"dtype": str, "keep_default_na": False}
    inside = pd.read_csv(folder / "predictions.csv", **options)
    places = [("", results, inside)]
    if results["external"]:
        outside = pd.read_csv(folder / "predictions_external.csv", **options)
        for n, cohort in enumerate(results["external"]):
            rows = outside[outside["cohort"] == cohort["dataset"]["name"]]
            places.append((f"external[{n}].", cohort, rows))
    numbers: Numbers = {}
    arms: dict[str, Numbers] = {}
    for prefix, place, frame in places:
        side = "outside" if prefix else "inside"
        tables = {
            arm["name"]: Table.of(frame[frame["arm"] == arm["name"]], arm, results)
            for arm in place["arms"]
        }
        for n, arm in enumerate(place["arms"]):
            found = compute_arm("", arm, tables[arm["name"]], positive, prevalence)
            numbers |= {f"{prefix}arms[{n}]{key}": value for key, value in found.items()}
            arms[f"{side} {arm['name']}"] = {k.removeprefix("."): v for k, v in found.items()}
        numbers |= compute_differences(
            f"{prefix}comparisons", place["comparisons"], tables, positive
        )
        where = f"{prefix}noninferiority"
        numbers |= compute_margin(where, place["noninferiority"], tables, positive)
        if place["noninferiority"]:
            reference = arms[f"{side} {place['noninferiority']['reference']}"]
            area = {k: v for k, v in reference.items() if k.startswith("metrics.auroc.")}
            where += ".reference_auroc."
            numbers |= {where + k.removeprefix("metrics.auroc."): v for k, v in area.items()}
        if prefix:
            numbers |= compute_drops(f"{prefix}drops", place["drops"], arms)
    return numbers


def check(folder: Path) -> bool:
    """Compare all numbers of one report, print the result, and return whether all agree."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    numbers = compute(results, folder)
    compared, largest, worst = 0, 0.0, ""
    others: Counter[tuple[str, str]] = Counter()
    faults = []
    for path, value in leaves(results):
        kind = re.sub(r"\[\d+\]", "[]", path)
        if path in numbers:
            compared += 1
            # In JSON, what is not defined and what is infinite are null.
            if np.isnan(value) and not np.isfinite(numbers[path]):
                continue
            deviation = abs(value - numbers[path])
            if not deviation <= TOLERANCE:
                faults.append(f"{path} is {value!r}, computed again {float(numbers[path])!r}")
            if deviation > largest:
                largest, worst = deviation, f" ({path})"
        elif why := next((r for p, r in NOT_COMPUTED.items() if re.search(p, kind)), None):
            others[kind, why] += 1
        elif not np.isnan(value):
            faults.append(f"{path} is {value!r}, and this script does not know it")
    print(f"{folder.name}: {compared} numbers compared, largest deviation {largest:.1e}{worst}")
    for (kind, why), n in sorted(others.items()):
        print(f"  not computed: {kind} ({n}): {why}")
    for fault in faults:
        print(f"  fault: {fault}")
    return not faults


if __name__ == "__main__":
    agreed = [check(Path(folder)) for folder in sys.argv[1:]]
    sys.exit(0 if all(agreed) else 1)
