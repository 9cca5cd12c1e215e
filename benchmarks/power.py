"""Size and power of tests over folds, by the variance that they allow for training sets.

    python benchmarks/power.py                          # made data; writes power.md
    python benchmarks/power.py --features FILE          # real features; adds their section
    python benchmarks/power.py --n 50                   # a short run, only prints

A model's AUROC over folds varies with its test samples and with its training sets. The first part
is LeDell's variance. What is added for the training sets is compared here:

- ``none``: nothing, as in the central limit theorem of Bayle et al. (2020, NeurIPS 33), which
  supposes stable models and asks for the mean true value of the fitted ones.
- ``factor``: the variance times 1 + k n_test / n_train (Nadeau & Bengio 2003), 2.25 for 5 folds.
- ``inner folds``: the ratio of two delete-a-fold jackknives, of the inner out-of-fold AUROC of the
  training sets and of the outer one, in the manner of the nested cross-validation of Bates, Hastie
  & Tibshirani (2024, Journal of the American Statistical Association 119:1434).
- ``jackknife × c``: c times the delete-a-group jackknife of the training sets alone: the test
  samples are scored again by the models of the inner folds, of which each lacks one part of the
  patients; to this is added the variance of the mean over the repeats.
- ``known``: the true ratio of the variances, from all draws of the cell: what is possible.

All but ``none`` and ``known`` are bounded to [1, factor]. The test is that of
``roc_auc_difference``, the inversion of the MOVER of two logit intervals.

- ``size``: the cells of ``coverage.py`` over folds, 5 folds and 5 repeats or one. Both arms have
  features of the same use, so that their expected AUROC is the same.
- ``power``: arms of different AUROC on 5 informative features.
- ``coverage``: the interval of one arm's AUROC, and of the difference, around the mean true AUROC
  of the fitted models.
- ``real features``: labels are permuted over the patients, and two arms get a random half of the
  principal components each; see ``null.py``.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import coverage
import null
import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import norm
from variance_rules import ACCEPTED, RULES, Known, Scored, areas_of, measure, summarise

from bottleneck.data.splits.patients import shared_inner_folds
from bottleneck.data.splits.protocol import Fold, Folds
from bottleneck.evaluation.cross_validation.arms import Arm
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.cross_validation.nested_cv import RunOptions, plan_inner_folds, run_arms
from bottleneck.features.file.reader import load_features

FOLDS, PARTS, REPEATS = 5, 5, 5
SEED = 20261130
RESULT = Path(__file__).with_suffix(".md")
Array = NDArray[np.float64]
#: Patients and the AUROCs of the two arms.
POWER = ((400, 0.75, 0.69), (200, 0.75, 0.66), (200, 0.80, 0.67))


def draw_arms(
    cell: coverage.Cell, aurocs: tuple[float, float], rng: np.random.Generator
) -> Scored | None:
    """Return two arms; None where a class has too few patients."""
    y, patient = cell.draw_labels(rng)
    if coverage.count_patients(y, patient)[0] < 2 * FOLDS:
        return None
    shifts = [np.sqrt(2 / cell.features) * norm.ppf(auroc) for auroc in aurocs]
    arms = [cell.draw_features(y, patient, shift, rng) for shift in shifts]
    of_patient = y[np.arange(cell.patients) * cell.images]
    folds = np.stack([coverage.deal_folds(of_patient, rng)[patient] for _ in range(REPEATS)])
    scores = np.empty((2, REPEATS, len(y)))
    jackknife = np.empty((2, REPEATS, len(y), PARTS))
    true, inner = np.empty((2, 2, REPEATS, FOLDS))
    names = np.where(y, "b", "a")
    for repeat, fold_of in enumerate(folds):
        trains = [np.flatnonzero(fold_of != fold) for fold in range(FOLDS)]
        parts = shared_inner_folds(names, patient, trains, fold_of, PARTS, int(rng.integers(2**31)))
        if parts is None or len(parts[0]) < PARTS:
            return None
        for (fold, train), arm in itertools.product(enumerate(trains), range(2)):
            x, test = arms[arm], fold_of == fold
            w, _ = coverage.discriminate(x[train], y[train])
            scores[arm, repeat, test] = x[test] @ w
            true[arm, repeat, fold] = ndtr(shifts[arm] * w.sum() / np.sqrt(2 * w @ w))
            areas = []
            for part, (fitted, left) in enumerate(parts[fold]):
                some, rest = train[fitted], train[left]
                w, _ = coverage.discriminate(x[some], y[some])
                jackknife[arm, repeat, test, part] = x[test] @ w
                areas.append(areas_of((x[rest] @ w)[:, None], y[rest] == 1)[0])
            inner[arm, repeat, fold] = np.mean(areas)
    return Scored(y == 1, patient, folds, scores, jackknife, true, inner)


def run_made(
    cell: coverage.Cell, aurocs: tuple[float, float], n: int, block: int
) -> list[list[Known]]:
    """Return some draws of a cell, with all repeats and with one."""
    rng = np.random.default_rng([SEED, *cell.rng().integers(2**31, size=2), block])
    drawn: list[list[Known]] = [[], []]
    for _ in range(n):
        scored = draw_arms(cell, aurocs, rng)
        if scored is None:
            continue
        for some, repeats in zip(drawn, (REPEATS, 1), strict=True):
            some.append(measure(scored, repeats))
    return drawn


def run_real(base: null.Base, number: int) -> list[Known]:
    """Return a draw of permuted labels: for each classifier, two arms on different features."""
    rng = np.random.default_rng([SEED, number])
    of_group = rng.permutation(base.labels) == base.positive
    halves = np.array_split(rng.permutation(base.components.shape[1]), 2)
    folds = []
    for repeat in range(REPEATS):
        tested = coverage.deal_folds(of_group.astype(int), rng)[base.groups]
        folds += [
            Fold(repeat, n, repeat, np.flatnonzero(tested != n), np.flatnonzero(tested == n))
            for n in range(FOLDS)
        ]
    made = Folds("cross-validation", tuple(folds), "")
    labels = np.where(of_group, "b", "a")[base.groups]
    ids = np.arange(len(labels)).astype(str)
    samples = LabelledSamples(ids, labels, base.groups.astype(str))
    options = RunOptions(PARTS)
    inner = plan_inner_folds(samples, made, options)
    known = []
    for name in null.GRIDS:
        head = null.FIXED[name]
        arms = [
            Arm(f"{head.name} {n}", None, base.components[:, half], head)
            for n, half in enumerate(halves)
        ]
        predicted = [arm.test for arm in run_arms(arms, made, samples, options, inner)]
        # The rows of a repeat, fold by fold, in the order of the samples.
        order = np.lexsort([predicted[0].ids.astype(int), predicted[0].repeats])
        shape = (2, REPEATS, len(labels))
        parts = np.array([one.jackknife[order, :, 1] for one in predicted])
        nothing = np.full((2, REPEATS, FOLDS), np.nan)
        scored = Scored(
            labels == "b",
            base.groups,
            predicted[0].folds[order].reshape(shape[1:]),
            np.array([one.scores[order, 1] for one in predicted]).reshape(shape),
            parts.reshape(*shape, -1),
            nothing,
            nothing,
        )
        known.append(measure(scored, REPEATS))
    return known


def row(*cells: object) -> str:
    return "| " + " | ".join(f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells) + " |"


def header(*cells: str) -> list[str]:
    return [row(*cells), row(*["---"] * len(cells))]


def made_tables(n: int, jobs: int) -> Iterator[str]:
    """Yield the tables of made data."""
    cells = [(cell, (cell.auroc, cell.auroc)) for cell in coverage.fold_cells()]
    cells += [
        (coverage.Cell(patients, 0.5, a, 1, 0.0, features=5), (a, b)) for patients, a, b in POWER
    ]
    blocks = 4
    parts = Parallel(jobs)(
        delayed(run_made)(cell, aurocs, n // blocks, block)
        for cell, aurocs in cells
        for block in range(blocks)
    )
    rates = []
    for number, (cell, aurocs) in enumerate(cells):
        some = parts[number * blocks : (number + 1) * blocks]
        both = [[draw for part in some for draw in part[which]] for which in range(2)]
        gap = aurocs[0] - aurocs[1]
        rates.append((cell, aurocs, len(both[0]), [summarise(d, gap, RULES) for d in both]))
    for title, which in ((f"{REPEATS} repeats", 0), ("one repeat", 1)):
        yield f"\n## Size, {title}\n"
        yield from header(*CELL, "draws", *RULES)
        worst = dict.fromkeys(RULES, 0.0)
        for cell, _, count, pair in rates[: -len(POWER)]:
            sizes = {rule: pair[which][rule][0] for rule in RULES}
            worst = {rule: max(worst[rule], sizes[rule]) for rule in RULES}
            yield row(*describe(cell), count, *sizes.values())
        yield row("**largest**", *[""] * len(CELL), *worst.values())
    yield "\n## Power\n"
    yield from header("patients", "AUROC a", "AUROC b", "repeats", "draws", *RULES)
    for cell, aurocs, count, pair in rates[-len(POWER) :]:
        for which, repeats in ((0, REPEATS), (1, 1)):
            powers = (pair[which][rule][0] for rule in RULES)
            yield row(cell.patients, *map(str, aurocs), repeats, count, *powers)
    yield f"\n## Coverage of the mean true value of the fitted models, {REPEATS} repeats\n"
    shown = ("none", "factor", ACCEPTED)
    yield from header(*CELL, *(f"AUROC: {r}" for r in shown), *(f"difference: {r}" for r in shown))
    for cell, _, _, pair in rates[: -len(POWER)]:
        yield row(*describe(cell), *(pair[0][r][1] for r in shown), *(pair[0][r][2] for r in shown))


CELL = ("patients", "prevalence", "AUROC", "images", "features")


def describe(cell: coverage.Cell) -> tuple[str, ...]:
    parts = (cell.patients, cell.prevalence, cell.auroc, cell.images, cell.features)
    return tuple(str(part) for part in parts)


def real_tables(file: Path, positive: str | None, n: int, jobs: int) -> Iterator[str]:
    """Yield the table of real features."""
    features = load_features(file)
    base = null.Base.of(features, positive)
    rules = [rule for rule in RULES if rule != "inner folds"]
    draws = Parallel(jobs)(delayed(run_real)(base, number) for number in range(n))
    network, data = (
        features.provenance["recipe"]["backbone"],
        features.provenance["dataset"]["name"],
    )
    yield f"\n{REAL}\n"
    yield (
        f"{network} features of {data}: {len(base.ids)} images in {len(base.labels)} groups, "
        f"{base.share:.0%} positive. {n} draws, {REPEATS} repeats; a rate of 0.05 has a standard "
        f"error of {np.sqrt(0.05 * 0.95 / n):.3f}.\n"
    )
    yield from header("classifier", *rules)
    for which, head in enumerate(null.GRIDS):
        rates = summarise([draw[which] for draw in draws], 0.0, rules)
        yield row(head, *(rates[rule][0] for rule in rules))


REAL = "## Size on real features"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, help="draws a cell; prints and writes nothing")
    parser.add_argument("--features", type=Path, help="real features: only their section is made")
    parser.add_argument("--positive")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.features is None:
        n = options.n or 2000
        tables = made_tables(n, options.jobs)
    else:
        tables = real_tables(options.features, options.positive, options.n or 400, options.jobs)
    lines = []
    for line in tables:
        print(line, flush=True)
        lines.append(line)
    if options.n is not None:
        return
    made = "\n".join(lines) + "\n"
    if options.features is None:
        made = (
            "# Size and power over folds\n\n"
            "Made by `python benchmarks/power.py`, and its last section by `--features FILE` (seed "
            f"{SEED}); its docstring describes the rules. {ACCEPTED} is what the package does, and "
            f"factor what it did before. A rate of 0.05 has a standard error of "
            f"{np.sqrt(0.05 * 0.95 / n):.3f} with {n} draws.\n{made}"
        )
    elif RESULT.exists():
        made = RESULT.read_text().partition(f"\n{REAL}")[0] + made
    RESULT.write_text(made)


if __name__ == "__main__":
    main()
