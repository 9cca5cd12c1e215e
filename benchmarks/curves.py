"""Coverage of the intervals of net benefit, of calibration curves and of the O/E ratio.

    python benchmarks/curves.py

Each cell has draws of one test set: patients whose images have a risk x that they share in part,
and an outcome with a random effect of the patient, so that images of a patient are correlated
beyond x. The model states the log-odds 1.5 x + 0.3: too extreme, and too high. The truth is that
of a million patients; that of a calibration curve is the mean over the random effect, by
quadrature. "bootstrap" is a percentile bootstrap of patients (500 draws) of the same smoother.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bottleneck import statistics
from bottleneck.statistics.probabilities.calibration_curves import SPAN

Array = NDArray[np.float64]
THRESHOLDS = (0.1, 0.3)
# Predicted probabilities of the curve; the model states logit(p) = 1.5 x + 0.3.
POINTS = (0.1, 0.3, 0.6)
EFFECT = 0.8  # Standard deviation of the random effect, on the log-odds.


def draw(
    rng: np.random.Generator, n_patients: int, images: int, centre: float
) -> tuple[NDArray[np.bool_], Array, NDArray[np.intp]]:
    """Return true classes, predicted probabilities and patients."""
    patients = np.repeat(np.arange(n_patients), images)
    shared, effect = rng.normal(size=(2, n_patients))
    x = centre + np.sqrt(0.5) * (shared[patients] + rng.normal(size=len(patients)))
    y = rng.random(len(x)) < special.expit(x + EFFECT * effect[patients])
    return y, special.expit(1.5 * x + 0.3), patients


def true_frequency(predicted: float) -> float:
    """Return the frequency of the positive class where the model states a probability."""
    x = (special.logit(predicted) - 0.3) / 1.5
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return float(special.expit(x + EFFECT * nodes) @ weights / weights.sum())


def bootstrap(
    rng: np.random.Generator, at: float, y: NDArray[np.bool_], p: Array, patients: NDArray[np.intp]
) -> tuple[float, float]:
    """Return the bounds of the smoothed frequency by a percentile bootstrap of patients."""
    near = np.abs(p - at)
    reach = np.sort(near)[int(SPAN * len(p)) - 1]
    kernel, scaled = np.clip(1 - (near / reach) ** 3, 0, None) ** 3, (p - at) / reach
    terms = (kernel, kernel * scaled, kernel * scaled**2, kernel * y, kernel * scaled * y)
    sums = np.stack([np.bincount(patients, term) for term in terms])
    n = sums.shape[1]
    s0, s1, s2, t0, t1 = sums @ rng.multinomial(n, np.full(n, 1 / n), 500).T
    values = np.clip((s2 * t0 - s1 * t1) / (s0 * s2 - s1**2), 0, 1)
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def cover(n_draws: int, n_patients: int, images: int, centre: float, seed: int) -> list[str]:
    """Return the cells of a row: prevalence, then coverages in per cent."""
    rng = np.random.default_rng(seed)
    y, p, _ = draw(np.random.default_rng(1), 1_000_000, 1, centre)
    gain = {t: np.where(y, 1.0, -t / (1 - t)) for t in THRESHOLDS}
    benefit = {t: float((gain[t] * (p >= t)).mean()) for t in THRESHOLDS}
    over = {t: benefit[t] - float(gain[t].mean()) for t in THRESHOLDS}
    ratio = float(y.sum() / p.sum())
    hits: dict[tuple[str, float], list[bool]] = {}
    for _ in range(n_draws):
        true, share, patients = draw(rng, n_patients, images, centre)
        if true.all() or not true.any():
            continue
        found = {}
        for t in THRESHOLDS:
            rows = true, share, patients
            model = statistics.net_benefit(*rows, threshold=t)
            more = statistics.net_benefit(*rows, threshold=t, versus="everyone")
            found["model", t] = model.low, model.high, benefit[t]
            found["over everyone", t] = more.low, more.high, over[t]
        oe = statistics.observed_expected_ratio(true, share, patients)
        found["ratio", 0] = oe.low, oe.high, ratio
        curve = statistics.calibration_curve(true, share, patients)
        for at in POINTS:
            if curve.predicted[0] <= at <= curve.predicted[-1]:
                low, high = (
                    float(np.interp(at, curve.predicted, side)) for side in (curve.low, curve.high)
                )
                found["curve", at] = low, high, true_frequency(at)
                bounds = bootstrap(rng, at, true, share, patients)
                found["bootstrap", at] = *bounds, true_frequency(at)
        for key, (low, high, truth) in found.items():
            if np.isfinite(low):
                hits.setdefault(key, []).append(low <= truth <= high)
    keys = [
        *itertools.product(("model", "over everyone"), THRESHOLDS),
        ("ratio", 0),
        *itertools.product(("curve", "bootstrap"), POINTS),
    ]
    cells = [f"{100 * np.mean(hits[key]):.1f}" if key in hits else "–" for key in keys]
    return [f"{100 * y.mean():.0f}", *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--patients", type=int, nargs="+", default=[60, 120, 300])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    titles = [
        "patients × images",
        "positive, %",
        *(f"net benefit at {t}" for t in THRESHOLDS),
        *(f"above everyone at {t}" for t in THRESHOLDS),
        "O/E",
        *(f"curve at {at}" for at in POINTS),
        *(f"bootstrap at {at}" for at in POINTS),
    ]
    print("| " + " | ".join(titles) + " |\n| ---" + " | ---:" * (len(titles) - 1) + " |")
    for n_patients, images, centre in itertools.product(options.patients, (1, 3), (-1.8, 0.0)):
        row = cover(options.draws, n_patients, images, centre, options.seed)
        print(f"| {n_patients} × {images} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
