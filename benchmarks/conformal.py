"""How often conformal sets of fitted models hold the true class of new patients. A simulation.

    python benchmarks/conformal.py              # all cells, writes conformal.md
    python benchmarks/conformal.py --n 20       # a short run, only prints

Every split is the whole way of a model in use: ``fit`` on patients (search on inner folds,
sigmoids and nonconformity scores from out-of-fold scores, refit on all), then the sets of 40 new
patients of every class. The features of an image are those of its class, plus an effect of the
patient (half of the variance) and of the image. Patients have one image, or 1 to 8, equally likely.
With two classes, ``prevalence`` is the share of patients of the second class; with three, of each
class but the first. The class of each patient is drawn.

Coverage is by patient: the share of a patient's images with a set that holds the true class, then
the mean over the patients of a class, then over all splits. ``lowest`` is that of the class with
the lowest coverage, and ``short`` what it lacks of what was asked. ``all`` is the mean over the
classes, and ``excess`` what it is above what was asked. ``size`` is the mean number of classes in
a set, and ``empty`` the share of sets without any. ``whole`` is the share of splits where a class
has too few patients, so that it is in every set.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from bottleneck.deploy.fit import fit
from bottleneck.deploy.models.model import Model
from bottleneck.evaluation.metrics.probabilities.sigmoids import add_probabilities
from bottleneck.heads.search import score_classes
from bottleneck.predictions import Predictions
from bottleneck.statistics.probabilities.conformal_prediction import patients_needed

SEED = 20261130
ERRORS = (0.05, 0.1, 0.2)
NEW, WIDTH, DISTANCE = 40, 10, 1.1
RESULT = Path(__file__).with_suffix(".md")
Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Cell:
    patients: int
    prevalence: float
    classes: int = 2
    images: str = "1 to 8"
    head: str = "lda"

    def rng(self) -> np.random.Generator:
        return np.random.default_rng([SEED, zlib.crc32(repr(self).encode())])

    @property
    def shares(self) -> Array:
        rest = [self.prevalence] * (self.classes - 1)
        return np.array([1 - sum(rest), *rest])

    def draw(
        self, y: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Array, NDArray[np.int64]]:
        """Return the features of patients' images, and the patient of each."""
        sizes = rng.integers(1, 9, len(y)) if self.images == "1 to 8" else np.ones(len(y), int)
        patient = np.repeat(np.arange(len(y)), sizes)
        centres = DISTANCE * np.eye(WIDTH)[y] + np.sqrt(0.5) * rng.normal(size=(len(y), WIDTH))
        return centres[patient] + np.sqrt(0.5) * rng.normal(size=(len(patient), WIDTH)), patient


CELLS = (
    Cell(60, 0.5),
    Cell(60, 0.2),
    Cell(60, 1 / 3, classes=3),
    Cell(150, 0.5, images="1"),
    Cell(150, 0.2, head="logistic"),
    Cell(150, 0.2, classes=3),
    Cell(300, 0.5),
    Cell(300, 0.2, images="1"),
    Cell(300, 1 / 3, classes=3),
)


def probabilities_of(model: Model, X: Array, labels: NDArray[np.str_]) -> Array:
    """Return the calibrated probabilities of a deployed model."""
    scores = score_classes(model, model.estimator, X, model.classes)
    made = Predictions.from_arrays(labels, scores, classes=model.classes)
    found = add_probabilities(dataclasses.replace(made, kind=model.kind), model.sigmoids)
    assert found.probabilities is not None
    return found.probabilities


def run_split(cell: Cell, rng: np.random.Generator) -> dict[float, dict[str, float | list[float]]]:
    """Fit a model, and return the coverage and the size of its sets by error rate."""
    names = np.array([f"c{number}" for number in range(cell.classes)])
    y = rng.choice(cell.classes, cell.patients, p=cell.shares)
    X, patient = cell.draw(y, rng)
    with warnings.catch_warnings():
        # A head that does not converge, or has few inner folds, serves all the same.
        warnings.simplefilter("ignore")
        positive = names[1] if cell.classes == 2 else None
        model = fit(
            X, cell.head, y=names[y][patient], groups=patient, positive=positive, quiet=True
        )
    assert model.conformal is not None
    true = np.repeat(np.arange(cell.classes), NEW)
    new, owner = cell.draw(true, rng)
    probabilities = probabilities_of(model, new, names[true][owner])
    images = np.bincount(owner)
    found: dict[float, dict[str, float | list[float]]] = {}
    for error in ERRORS:
        sets = model.conformal.sets(probabilities, error)
        held = sets[np.arange(len(owner)), true[owner]]
        of_patient = np.bincount(owner, held) / images
        size = np.bincount(owner, sets.sum(axis=1)) / images
        empty = np.bincount(owner, ~sets.any(axis=1)) / images
        found[error] = {
            "coverage": [float(of_patient[true == k].mean()) for k in range(cell.classes)],
            "size": float(size.mean()),
            "empty": float(empty.mean()),
            "whole": float(min(model.conformal.patients) < patients_needed(error)),
        }
    return found


def run(cell: Cell, n: int) -> list[dict[str, float]]:
    """Return a row for every error rate."""
    rng, splits = cell.rng(), []
    while len(splits) < n:
        splits.append(run_split(cell, rng))
    rows = []
    for error in ERRORS:
        parts = [split[error] for split in splits]
        by_class = np.array([part["coverage"] for part in parts])
        means = by_class.mean(axis=0)
        rows.append(
            {
                "asked": 1 - error,
                "lowest": float(means.min()),
                "short": float(1 - error - means.min()),
                "all": float(means.mean()),
                "excess": float(means.mean() - (1 - error)),
                "error": float(by_class.std(axis=0, ddof=1).max() / np.sqrt(n)),
                **{k: float(np.mean([p[k] for p in parts])) for k in ("size", "empty", "whole")},
            }
        )
    return rows


def table(found: list[tuple[Cell, list[dict[str, float]]]]) -> str:
    fields = [f.name for f in dataclasses.fields(Cell)]
    names = list(found[0][1][0])
    lines = [[*fields, *names], ["---"] * (len(fields) + len(names))]
    for cell, rows in found:
        values = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in dataclasses.astuple(cell)]
        for row in rows:
            low = row["lowest"] < row["asked"] - 0.02
            shown = [f"**{row[k]:.3f}**" if low and k == "lowest" else f"{row[k]:.3f}" for k in row]
            lines.append([*values, *shown])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate the coverage of conformal sets.")
    parser.add_argument("--n", type=int, help="splits a cell; prints, but writes nothing")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    n, start = options.n or 500, time.perf_counter()
    found = []
    for rows in Parallel(options.jobs, return_as="generator")(delayed(run)(c, n) for c in CELLS):
        found.append((CELLS[len(found)], rows))
        print(table(found[-1:]), flush=True)
    text = (
        "# Coverage of conformal sets\n\nMade by `python benchmarks/conformal.py` "
        f"(seed {SEED}); its docstring describes the design and the columns. Bold is a coverage "
        "of more than two points below what was asked. `error` is the standard error of `lowest`."
        f"\n\n## New patients\n\n{n} splits a cell, {NEW} new patients of every class each. "
        f"{time.perf_counter() - start:.0f} s with {options.jobs} process(es).\n\n{table(found)}\n"
    )
    if options.n is None:
        RESULT.write_text(text)


if __name__ == "__main__":
    main()
