"""Scores of patients with several images, drawn from normal distributions; and R's results."""

from pathlib import Path

import numpy as np
import pandas as pd

REFERENCE = Path(__file__).parent / "reference"
SAMPLES = pd.read_csv(REFERENCE / "samples.csv")
AUROC = pd.read_csv(REFERENCE / "auroc.csv", index_col="data")
TOLERANCE = 1e-9


def binormal(n_patients=40, images=3, seed=0, shift=1.2):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), images)
    y = patient % 2
    score = shift * y + 0.7 * rng.standard_normal(n_patients)[patient]
    return y, score + 0.7 * rng.standard_normal(len(y)), patient


def numbers(interval):
    return [interval.value, interval.low, interval.high, interval.standard_error]


def two_arms(n_patients=40, images=3, seed=0):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), images)
    y = patient % 2
    shared = 0.7 * rng.standard_normal(n_patients)[patient]
    a, b = (shift * y + shared + 0.7 * rng.standard_normal(len(y)) for shift in (1.4, 0.8))
    return y, a, b, patient


def outcome(test):
    return [test.difference, test.low, test.high, test.p]
