"""Whether plans of studies hold: closed forms against simulation, and extrapolated learning curves.

    python benchmarks/planning.py                  # writes benchmarks/planning.md (ten minutes)
    python benchmarks/planning.py --draws 5        # a quick look
    python benchmarks/planning.py --features X.h5  # with parts of this real data set as well

**Sizes.** For each AUROC, prevalence, width, and number of alike images, ``plan_study`` gives the
patients by the closed form and by simulated studies. The ratio of the two is shown, and the share
of the simulated intervals that contain the true AUROC.

**Curves.** Features are normal with equal covariances, and the means of the classes differ in some
of them. A pilot is drawn, and ``plan_from_pilot`` predicts the AUROC with 2, 5 and 10 times as
many patients. The truth is the mean AUROC of classifiers that are trained on samples of that size,
tested on 20,000 further ones. Shown are how often the whole curve was refused, how often an
interval was stated, and of those, how often it contains the truth and how wide it is on average.

**Parts of real data.** A random part of the patients is the pilot. It predicts the AUROC of the
same cross-validation of all patients, which is itself an estimate from these patients. The
Wisconsin data set, which scikit-learn contains, has measurements of cell nuclei of 569 women;
without the sizes of the nuclei, which alone tell the classes apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer

from bottleneck import FeatureSet, Protocol, load_features, plan_from_pilot, plan_study
from bottleneck.heads.head_catalogue import get_head
from bottleneck.statistics import roc_auc_interval

SEED = 20261130
OUTPUT = Path(__file__).with_suffix(".md")
# AUROC, prevalence, width, images per patient, correlation of their scores.
SIZES = (
    (0.7, 0.5, 0.1, 1, 0.0),
    (0.8, 0.2, 0.1, 1, 0.0),
    (0.8, 0.2, 0.1, 3, 0.5),
    (0.8, 0.2, 0.2, 5, 0.8),
    (0.9, 0.1, 0.1, 1, 0.0),
    (0.9, 0.3, 0.15, 4, 0.3),
    (0.95, 0.2, 0.1, 2, 0.5),
)
# Patients, features, of these informative, their AUROC if the means were known, head.
CURVES = (
    (100, 50, 5, 0.80, "lda"),
    (100, 100, 20, 0.90, "lda"),
    (200, 200, 20, 0.80, "lda"),
    (200, 400, 40, 0.90, "lda"),
    (150, 20, 5, 0.70, "lda"),
    (300, 100, 100, 0.75, "lda"),
)
TIMES = (2, 5, 10)
PROTOCOL = Protocol(repeats=1, inner_splits=2)


def sizes(draws: int) -> Iterator[str]:
    names = "AUROC, prevalence, width, images, ICC, closed form, simulated, ratio, coverage"
    yield f"| {' | '.join(names.split(', '))} |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for auroc, prevalence, width, images, icc in SIZES:
        plan = plan_study(
            auroc,
            prevalence,
            width=width,
            images_per_patient=images,
            icc=icc,
            draws=draws,
            seed=SEED % 2**31,
            quiet=True,
        )
        found = plan.simulated
        assert found is not None
        cells = [auroc, prevalence, width, images, icc, plan.patients, found.patients]
        ratio = plan.patients / found.patients
        yield f"| {' | '.join(map(str, cells))} | {ratio:.3f} | {found.coverage:.3f} |"


class Source:
    """Normal features whose class means differ in some columns."""

    def __init__(self, features: int, informative: int, auroc: float) -> None:
        self.shift = np.zeros(features)
        self.shift[:informative] = np.sqrt(2 / informative) * special.ndtri(auroc)

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        y = (rng.random(n) < 0.4).astype(np.intp)
        return (rng.normal(size=(n, len(self.shift))) + np.outer(y, self.shift)).astype("f4"), y


def true_auroc(source: Source, head: str, n: int, rng: np.random.Generator, draws: int) -> float:
    """Return the mean AUROC of classifiers that are trained on n samples."""
    found = []
    for _ in range(draws):
        X, y = source.draw(rng, n)
        fitted = clone(get_head(head).build(0, {})).fit(X, y)
        X, y = source.draw(rng, 20_000)
        found.append(roc_auc_interval(y, fitted.decision_function(X)).value)
    return float(np.mean(found))


def curves(draws: int) -> Iterator[str]:
    columns = [f"{k} ×: {what}" for k in TIMES for what in ("truth", "cover", "width", "stated")]
    yield "| patients | features | informative | limit | refused | " + " | ".join(columns) + " |"
    yield "| --- " * (5 + len(columns)) + "|"
    rng = np.random.default_rng(SEED)
    total = dict.fromkeys(TIMES, (0, 0))
    for n, features, informative, auroc, head in CURVES:
        source = Source(features, informative, auroc)
        truth = {k: true_auroc(source, head, round(0.8 * k * n), rng, 4) for k in TIMES}
        refused, covered, widths = 0, {k: [] for k in TIMES}, {k: [] for k in TIMES}
        for _ in range(draws):
            X, y = source.draw(rng, n)
            pilot = plan_from_pilot(
                X, head, y=y, times=TIMES, protocol=PROTOCOL, positive=1, quiet=True
            )
            refused += not pilot.future
            for one in pilot.future:
                if one.value is not None:
                    k = round(one.times)
                    covered[k].append(one.low <= truth[k] <= one.high)
                    widths[k].append(one.high - one.low)
        cells = [n, features, informative, auroc, f"{refused / draws:.2f}"]
        for k in TIMES:
            hits, stated = sum(covered[k]), len(covered[k])
            total[k] = (total[k][0] + hits, total[k][1] + stated)
            cells += [
                f"{truth[k]:.3f}",
                *((f"{hits / stated:.3f}", f"{np.mean(widths[k]):.2f}") if stated else ("–", "–")),
                f"{stated / draws:.2f}",
            ]
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""
    yield (
        "All cells: "
        + ", ".join(
            f"{k} × {hits / max(1, stated):.3f} of {stated}" for k, (hits, stated) in total.items()
        )
        + "."
    )


def wisconsin() -> FeatureSet:
    """Return texture, smoothness, symmetry and fractal dimension of the Wisconsin data set."""
    data = load_breast_cancer(as_frame=True)
    words = ("texture", "smoothness", "symmetry", "fractal")
    columns = [name for name in data.data if any(word in name for word in words)]
    return FeatureSet.from_arrays(
        data.data[columns], data.target.map({0: "malignant", 1: "benign"})
    )


def parts(name: str, features: FeatureSet, share: float, draws: int) -> str:
    units = features.ids if features.patients is None else features.patients
    whole = plan_from_pilot(features, "lda", protocol=PROTOCOL, quiet=True)
    rng, names = np.random.default_rng(SEED), np.unique(units)
    inside, widths, errors = 0, [], []
    for _ in range(draws):
        taken = rng.permutation(names)[: round(share * len(names))]
        part = features.select(np.isin(units, taken))
        pilot = plan_from_pilot(part, "lda", times=(1 / share,), protocol=PROTOCOL, quiet=True)
        for one in pilot.future:
            inside += one.low <= whole.auroc.value <= one.high
            widths.append(one.high - one.low)
            errors.append(one.value - whole.auroc.value)
    stated = len(widths)
    text = (
        f"- {name}: the AUROC of all {len(names)} patients is "
        f"{whole.auroc.text}. Of {draws} pilots of {round(share * len(names))} patients, "
        f"{draws - stated} were refused"
    )
    if not stated:
        return f"{text}."
    return (
        f"{text}. Of the other {stated} intervals, {inside} contain it; their mean width is "
        f"{np.mean(widths):.2f}, and the predictions are {np.mean(errors):+.3f} from it on average."
    )


def sections(draws: int, files: Sequence[Path]) -> Iterator[str]:
    yield from ("## Curves", "")
    yield from curves(draws)
    yield from ("", "## Parts of real data", "")
    for share in (0.5, 0.1):
        yield parts("Wisconsin", wisconsin(), share, draws)
    for path in files:
        yield parts(path.stem.partition("--")[0], load_features(path), 0.5, max(1, draws // 5))
    yield from ("", "## Sizes", "")
    yield from sizes(10 * draws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--features", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    began = time.perf_counter()
    lines: list[str] = []
    for line in sections(options.draws, options.features):
        print(line, flush=True)
        lines.append(line)
    seconds = time.perf_counter() - began
    title = [
        "# Plans of studies",
        "",
        f"Made by `python benchmarks/planning.py --draws {options.draws}`, with `--features` of "
        f"ResNet-18 on DDTI (seed {SEED}); its docstring describes the design. {seconds:.0f} s "
        f"with 1 process. Curves are of {options.draws} pilots a cell; a rate of 0.95 then has a "
        f"standard error of {np.sqrt(0.0475 / options.draws):.3f} where none is refused.",
        "",
    ]
    text = "\n".join(title + lines).strip() + "\n"
    OUTPUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
