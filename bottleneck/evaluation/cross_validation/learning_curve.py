"""How the AUROC grows with the number of patients that heads are trained on."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from bottleneck.data.splits.folds import Fold, Folds
from bottleneck.data.splits.patients import count_by_class, draw, name_patients
from bottleneck.evaluation.cross_validation.arms import Arm
from bottleneck.evaluation.cross_validation.nested_cv import ArmResult, Work, run_arms
from bottleneck.features.file.feature_set import FeatureSet

__all__ = ["SHARES", "run_shares"]

#: Shares of each training part's patients; all of them are the arm itself.
SHARES = (1 / 8, 1 / 4, 1 / 2)

# The inner search and the calibration of so few patients of a class would be a lottery.
_LEAST = 4


def run_shares(
    arms: Sequence[Arm], folds: Folds, samples: FeatureSet, work: Work
) -> list[tuple[float, list[ArmResult]]]:
    """Test every arm in the same test parts after training on fewer patients.

    Parameters
    ----------
    arms, folds, samples, work
        As for ``nested.run_arms``.

    Returns
    -------
    list of (float, list of ArmResult)
        The mean number of patients trained on (of samples, where no patients are known) and
        the arms, by rising number. Shares that leave a class fewer than four patients to
        train on are left out; each larger share holds the smaller ones.
    """
    patients = name_patients(samples.groups, samples.ids)
    found = []
    for share in SHARES:
        fewer = [_keep(fold, share, samples, patients) for fold in folds]
        if any(fold is None for fold in fewer):
            continue
        reduced = dataclasses.replace(folds, folds=tuple(f for f in fewer if f is not None))
        units = samples.ids if patients is None else patients
        n = float(np.mean([len(np.unique(units[fold.train])) for fold in reduced]))
        found.append((n, run_arms(arms, reduced, samples, work)))
    return found


def _keep(
    fold: Fold, share: float, samples: FeatureSet, patients: np.ndarray | None
) -> Fold | None:
    """Return the fold with a part of its training patients, stratified by class."""
    y = samples.y[fold.train]
    units = None if patients is None else patients[fold.train]
    counts = count_by_class(y, units)
    # The smallest share's folds are the grain: two of them make the next share, and so on.
    grain = round(1 / SHARES[0])
    if min(counts.values()) < grain:
        return None
    drawn = draw(y, units, grain, itertools.count(fold.seed))
    if drawn is None:
        return None
    kept = np.concatenate([test for _, test in drawn[1][: round(share * grain)]])
    here = count_by_class(y[kept], None if units is None else units[kept])
    if len(here) < len(counts) or min(here.values()) < _LEAST:
        return None
    return dataclasses.replace(fold, train=fold.train[np.sort(kept)])
