"""Rejection of true null hypotheses by a whole comparison, on real features. A simulation.

    python benchmarks/null.py                            # the phantom, random weights
    python benchmarks/null.py --features FILE            # features of your own
    python benchmarks/null.py --features FILE --n 20     # a short run, only prints

Every draw permutes the labels over the groups of patients that share copies, so that the images
of a patient keep one label, the numbers of groups of each class are kept, and no feature knows
anything of the label. The features are reduced to 64 principal components, of which each draw
deals 32 at random to each of two feature sets, and a third of the groups to an external cohort.
``compare`` then does what it does for a report: two heads (at fixed hyperparameters, to save time)
by cross-validation, all metrics, operating points, a subgroup of no meaning, tests, and external
validation. A rejection is an interval without the value that is true without any signal, or a p
value below 0.05:

- AUROC and balanced accuracy 0.5, MCC and calibration slope 0, PPV and AUPRC the prevalence. The
  sensitivity is the share of samples predicted positive, and specificity, NPV, accuracy and F1
  follow from it. The Brier score and the calibration intercept are those of the predicted
  probabilities at the prevalence.
- Between two arms, the differences of these values. A p value is one of a difference of 0: it
  counts where the difference is 0. The accuracies of two arms differ in truth if they predict the
  classes with different frequencies, except where the classes are equally frequent. Therefore
  there is a second part, with equally many groups of each class.
- External minus internal: the differences of these values.

Permuted labels have fixed counts, which sampled patients have not, so that intervals of metrics
that depend on the prevalence hold their value more often here than in ``coverage.md``.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import gc
import hashlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import optimize, special
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from bottleneck.backbones.backbone import load_backbone
from bottleneck.data.readers import load_dataset
from bottleneck.data.splits.protocol import Protocol
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads import head_catalogue
from bottleneck.predictions import Predictions
from bottleneck.report.figures.roc_curves import roc_band

SEED = 20261129
GRIDS = {"logistic": {"logistic__C": [0.01]}, "svm": {"svm__kernel": ["rbf"], "svm__C": [1.0]}}
WIDTH = 64
FOLDS, INNER = 3, 2
PREVALENCE = 0.05
DRAWS = 400
RESULT = Path(__file__).with_suffix(".md")
FIXED = {name: copy.copy(head_catalogue.get_head(name)) for name in head_catalogue.HEADS}
for name, grid in GRIDS.items():
    FIXED[name].grid = (grid,)
SECTIONS = {
    "folds": "Intervals of arms, cross-validation",
    "external": "Intervals of arms, external cohort",
    "drop": "Intervals of external minus internal",
    "pairs": "Intervals and tests of differences between arms",
    "shift": "Domain shift",
}

# Section, row and column of a table.
Key = tuple[str, str, str]
# A draw gives each cell some values: 1 for a rejection, NaN for an interval that there is not.
Cells = dict[Key, list[float]]


def phantom(folder: Path) -> FeatureSet:
    """Extract the embedded data set with a random network."""
    backbone = load_backbone("resnet18", weights="random")
    return load_features(extract(load_dataset("phantom"), backbone, output=folder).path)


@dataclasses.dataclass(frozen=True)
class Base:
    """Principal components of real features, with the groups whose labels are permuted."""

    provenance: Mapping[str, Any]
    positive: str
    ids: NDArray[np.str_]
    components: NDArray[np.float32]
    groups: NDArray[np.int64]
    labels: NDArray[np.str_]

    @classmethod
    def of(cls, features: FeatureSet, positive: str | None) -> Base:
        joined = features.leak_safe_groups.names
        _, first, groups = np.unique(
            features.ids if joined is None else joined, return_index=True, return_inverse=True
        )
        width = min(WIDTH, *features.X.shape)
        components = PCA(width, random_state=0).fit_transform(
            StandardScaler().fit_transform(features.X.astype(float))
        )
        chosen = positive or str(features.provenance["dataset"].get("positive") or "malignant")
        return cls(
            features.provenance,
            chosen,
            features.ids,
            components.astype(np.float32),
            groups,
            features.y[first],
        )

    def balanced(self) -> Base:
        """Return as many groups of the positive class as of the others."""
        members = np.flatnonzero(self.labels == self.positive)
        others = np.flatnonzero(self.labels != self.positive)
        n = min(len(members), len(others))
        rng = np.random.default_rng(SEED)
        kept = np.sort(np.concatenate([rng.permutation(m)[:n] for m in (members, others)]))
        rows = np.isin(self.groups, kept)
        return dataclasses.replace(
            self,
            ids=self.ids[rows],
            components=self.components[rows],
            groups=np.searchsorted(kept, self.groups[rows]),
            labels=self.labels[kept],
        )

    @property
    def share(self) -> float:
        return float(np.mean(self.labels == self.positive))

    def draw(self, number: int) -> tuple[Comparison, dict[str, str]]:
        """Compare two sets of features of nothing; return also the subgroup of each sample."""
        rng = np.random.default_rng([SEED, number])
        y = rng.permutation(self.labels)[self.groups]
        columns = np.array_split(rng.permutation(self.components.shape[1]), 2)
        n_groups = len(self.labels)
        outside = np.isin(self.groups, rng.permutation(n_groups)[: n_groups // 3])
        half = dict(
            zip(
                self.ids.tolist(),
                np.where(rng.random(len(y)) < 0.5, "a", "b").tolist(),
                strict=True,
            )
        )

        def part(rows: NDArray[np.bool_], which: int, dataset: str) -> FeatureSet:
            recipe = self.provenance["recipe"] | {"backbone": f"half {which}"}
            provenance = self.provenance | {
                "dataset": self.provenance["dataset"]
                | {"name": dataset, "fingerprint": hashlib.sha256(dataset.encode()).hexdigest()},
                "recipe": recipe,
                "recipe_hash": hashlib.sha256(f"{which}".encode()).hexdigest(),
            }
            return FeatureSet(
                X=self.components[rows][:, columns[which]],
                y=y[rows],
                ids=self.ids[rows],
                provenance=provenance,
                stated_patients=np.char.add("group ", self.groups[rows].astype(str)),
            )

        comparison = compare(
            [part(~outside, which, "internal") for which in range(2)],
            tuple(GRIDS),
            external=[part(outside, which, "external") for which in range(2)],
            protocol=Protocol(
                kind="cv", n_splits=FOLDS, repeats=1, inner_splits=INNER, seed=number
            ),
            positive=self.positive,
            measures=Measures(prevalence=PREVALENCE, subgroups={"column": half}),
        )
        return comparison, half


def true_values(
    predictions: Predictions, positive: str, share: float, called: float | None = None
) -> dict[str, float]:
    """Return the metrics of predictions that know nothing, with a share of positive labels."""
    q = float(np.mean(predictions.predicted == positive)) if called is None else called
    values = {
        "auroc": 0.5,
        "auprc": share,
        "accuracy": q * share + (1 - q) * (1 - share),
        "balanced_accuracy": 0.5,
        "sensitivity": q,
        "specificity": 1 - q,
        "ppv": share,
        "npv": 1 - share,
        "ppv_at_prevalence": PREVALENCE,
        "npv_at_prevalence": 1 - PREVALENCE,
        "f1": 2 * q * share / (q + share),
        "mcc": 0.0,
    }
    if predictions.probabilities is not None:
        p = predictions.probabilities[:, predictions.classes.index(positive)]
        odds = special.logit(np.clip(p, 1e-12, 1 - 1e-12))
        values["brier"] = float(np.mean(p**2) - 2 * share * p.mean() + share)
        values["calibration_slope"] = 0.0
        values["calibration_intercept"] = optimize.brentq(
            lambda a: float(np.mean(special.expit(odds + a)) - share), -50, 50
        )
    return values


def rejects(metric: Metric | Difference, truth: float) -> float:
    """Return whether the interval excludes the truth; NaN without one."""
    if metric.low is None or metric.high is None:
        return np.nan
    # Where an interval is a point, both are computed, and differ by rounding errors.
    return float(not metric.low - 1e-9 <= truth <= metric.high + 1e-9)


def count_arm(
    cells: Cells,
    where: str,
    arm: Evaluation,
    base: Base,
    halves: Mapping[str, str],
) -> None:
    """Count the rejections of all intervals of an arm."""
    positive, share = base.positive, base.share
    truth = true_values(arm.predictions, positive, share)
    for name, metric in arm.metrics.items():
        if name in truth:
            cells[where, name, arm.head].append(rejects(metric, truth[name]))
    score = arm.predictions.scores[:, arm.predictions.classes.index(positive)]
    for point in arm.operating_points:
        fold = np.unique(arm.predictions.folds, return_inverse=True)[1]
        called = float(np.mean(score >= np.array(point.thresholds)[fold]))
        at = true_values(arm.predictions, positive, share, called)
        for name, metric in point.metrics.items():
            row = f"{name} at the target {point.held}"
            cells[where, row, arm.head].append(rejects(metric, at[name]))
    for group in arm.subgroups:
        members = np.array([halves[i] == group.value for i in arm.predictions.ids])
        at = true_values(arm.predictions.take(members), positive, share)
        for name, metric in group.metrics.items():
            cells[where, f"{name} in a subgroup", arm.head].append(rejects(metric, at[name]))
    if arm.calibration is not None:
        for one in arm.calibration.bins:
            cells[where, "frequency in a bin", arm.head].append(rejects(one.observed, share))
    band = roc_band(arm.predictions, positive) if arm.uses_images else None
    if band is not None:
        for at_rate in (0.2, 0.5, 0.8):
            low, high = (np.interp(at_rate, band.fpr, side) for side in (band.low, band.high))
            row = f"ROC band at a false positive rate of {at_rate}"
            cells[where, row, arm.head].append(float(not low <= at_rate <= high))


def count_differences(
    cells: Cells,
    where: str,
    differences: Sequence[Difference],
    arms: Sequence[Evaluation],
    base: Base,
) -> None:
    """Count the rejections of all differences between arms, and of their tests."""
    by_name = {arm.name: arm for arm in arms}
    adjusted = []
    for d in differences:
        a, b = by_name[d.a], by_name[d.b]
        truth = [true_values(x.predictions, base.positive, base.share)[d.metric] for x in (a, b)]
        apart = truth[0] - truth[1]
        row = f"{d.metric}, {' and '.join(sorted((a.head, b.head)))}"
        cells["pairs", row, f"{where}: interval"].append(rejects(d, apart))
        if abs(apart) < 1e-9 and d.p is not None:
            cells["pairs", row, f"{where}: p"].append(float(d.p < 0.05))
        if d.p_adjusted is not None:
            adjusted.append(d.p_adjusted < 0.05)
    cells["pairs", "any adjusted p", f"{where}: p"].append(float(any(adjusted)))


def count(base: Base, number: int) -> dict[Key, float]:
    """Return the share of rejections of every cell of the tables in one draw."""
    # Here, and not on import, which the processes of joblib do not repeat.
    head_catalogue._make = FIXED.__getitem__
    gc.freeze()  # A library collects garbage at every adjustment of p values.
    comparison, halves = base.draw(number)
    (external,) = comparison.external
    cells: Cells = defaultdict(list)
    for where, arms, differences in (
        ("folds", comparison.evaluations, comparison.differences),
        ("external", external.evaluations, external.differences),
    ):
        for arm in arms:
            count_arm(cells, where, arm, base, halves)
        count_differences(cells, where, differences, arms, base)
    inside, outside = (
        {arm.name: true_values(arm.predictions, base.positive, base.share) for arm in arms}
        for arms in (comparison.evaluations, external.evaluations)
    )
    heads = {arm.name: arm.head for arm in comparison.evaluations}
    for drop in external.drops:
        if drop.metric in inside[drop.arm] and drop.metric in outside[drop.arm]:
            truth = outside[drop.arm][drop.metric] - inside[drop.arm][drop.metric]
            cells["drop", drop.metric, heads[drop.arm]].append(rejects(drop.difference, truth))
    for shift in external.shifts:
        cells["shift", "p of MMD²", "features"].append(float(shift.mmd_p < 0.05))
        cells["shift", "AUROC of the cohort", "features"].append(rejects(shift.domain_auroc, 0.5))
    return {
        key: float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
        for key, values in cells.items()
    }


def tables(draws: Sequence[Mapping[Key, float]]) -> Iterator[str]:
    """Yield the lines of all tables."""
    keys = list(dict.fromkeys(key for draw in draws for key in draw))
    for section, title in SECTIONS.items():
        rows = dict.fromkeys(row for name, row, _ in keys if name == section)
        columns = list(dict.fromkeys(column for name, _, column in keys if name == section))
        yield from ("", f"### {title}", "")
        yield f"| | {' | '.join(columns)} |"
        yield "| --- |" + " ---: |" * len(columns)
        for row in rows:
            cells = (cell([d.get((section, row, c), np.nan) for d in draws]) for c in columns)
            yield f"| {row} | {' | '.join(cells)} |"


def cell(values: Sequence[float]) -> str:
    """Return a rate with its Monte Carlo standard error, and the number of draws that have it."""
    known = np.array(values)[np.isfinite(values)]
    if len(known) < 2:
        return "–"
    rate, error = float(known.mean()), float(known.std(ddof=1) / np.sqrt(len(known)))
    shown = f"**{rate:.3f}**" if rate - 2 * error > 0.06 else f"{rate:.3f}"
    few = "" if len(known) == len(values) else f" ({len(known)} draws)"
    return f"{shown} ± {error:.3f}{few}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate rejections of true null hypotheses.")
    parser.add_argument("--features", type=Path, help="feature file; default: the phantom")
    parser.add_argument("--positive", help="the positive class")
    parser.add_argument("--n", type=int, help="draws a part; prints, but writes nothing")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    if options.features:
        features = load_features(options.features)
    else:
        with tempfile.TemporaryDirectory() as folder:
            features = phantom(Path(folder))
    base = Base.of(features, options.positive)
    n = options.n or DRAWS
    lines = [
        "# Rejection of true null hypotheses",
        "",
        f"Made by `python benchmarks/null.py` (seed {SEED}) from {features.title} features of "
        f"{features.dataset}; its docstring describes the design. Rates of rejection at the 5 % "
        f"level with their Monte Carlo standard errors, from {n} draws a part and {FOLDS} folds. "
        "Bold: above 6 % by more than two standard errors. Draws without an interval do not "
        "count.",
    ]
    for title, part in (("All groups", base), ("Classes of equal size", base.balanced())):
        start = time.perf_counter()
        draws = Parallel(options.jobs)(delayed(count)(part, number) for number in range(n))
        minutes = (time.perf_counter() - start) / 60
        size = f"{len(part.ids)} images in {len(part.labels)} groups, {part.share:.0%} positive"
        lines += ["", f"## {title}", "", f"{size}; {minutes:.0f} minutes.", *tables(draws)]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.n is None:
        RESULT.write_text(text)


if __name__ == "__main__":
    main()
