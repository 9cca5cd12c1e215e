"""Patients for the training of a model, by the criteria of Riley et al."""

from __future__ import annotations

import math
import numbers

import numpy as np
from scipy import special

from bottleneck.errors import UsageError
from bottleneck.statistics.planning.sample_size import SampleSize, SizeCriterion, check_number
from bottleneck.statistics.planning.score_distribution import RiskDistribution
from bottleneck.text.short_repr import shorten

__all__ = ["development_size"]

# Half the width of the interval of the prevalence, and the optimism of Nagelkerke's R², that Riley
# et al. (2020) accept.
_MARGIN = _OPTIMISM = 0.05


def development_size(
    predictors: int,
    prevalence: float,
    *,
    auroc: float | None = None,
    r_squared: float | None = None,
    shrinkage: float = 0.9,
) -> SampleSize:
    """Plan how many patients a regression without penalty needs for its training.

    The criteria are those of Riley et al. (2019, Statistics in Medicine 38:1276; 2020, BMJ
    368:m441): little shrinkage, little optimism of the fit, and a precise prevalence.

    Parameters
    ----------
    predictors : int
        Number of coefficients that are estimated, such as the number of features.
    prevalence : float
        Share of the patients that are expected to be positive.
    auroc : float, optional
        The AUROC that is expected. The Cox-Snell R² follows from it if the log-odds are normal
        with equal variances in both classes (Riley, Van Calster & Collins 2021, Statistics in
        Medicine 40:859).
    r_squared : float, optional
        The Cox-Snell R² that is expected, in place of the AUROC.
    shrinkage : float
        Factor by which the coefficients would have to be shrunk for new patients; 1 means no
        overfitting.

    Returns
    -------
    SampleSize
        Heads with a penalty, and features that are alike, need fewer patients than this: the
        learning curve of a pilot shows how many.

    Raises
    ------
    UsageError
        If a number is out of its range, or not exactly one of ``auroc`` and ``r_squared`` is
        given.

    Examples
    --------
    The example of Riley et al. (2019), for which the package pmsampsize prints 623, 662 and 221:

    >>> size = development_size(24, 0.174, r_squared=0.288)
    >>> [one.patients for one in size.criteria]
    [623, 662, 221]
    """
    if not isinstance(predictors, numbers.Integral) or not 1 <= predictors <= 10**9:
        raise UsageError(
            f"predictors must be a whole number from 1 to 1,000,000,000, not {shorten(predictors)}"
        )
    share = check_number("prevalence", prevalence, 0, 1)
    if (auroc is None) == (r_squared is None):
        raise UsageError("give either auroc or r_squared, from which the sizes follow")
    if auroc is not None:
        expected = check_number("auroc", auroc, 0.5, 1)
        explained = RiskDistribution.from_auroc(expected, share).explained()
    else:
        explained = check_number("r_squared", r_squared, 0, 1)
    kept = check_number("shrinkage", shrinkage, 0, 1)
    null = special.xlogy(share, share) + special.xlogy(1 - share, 1 - share)
    most = float(-np.expm1(2 * null))
    if explained >= most:
        raise UsageError(
            f"r_squared must be below {most:.3g}, the largest Cox-Snell R² at a prevalence of "
            f"{share:g}, not {explained:g}"
        )
    if kept <= explained:
        raise UsageError(
            f"shrinkage must be above the expected R² of {explained:.3g}, not {kept:g}"
        )

    def patients(factor: float) -> int:
        return math.ceil(predictors / ((factor - 1) * math.log1p(-explained / factor)))

    optimism = explained / (explained + _OPTIMISM * most)
    quantile = float(special.ndtri(0.975))
    criteria = (
        SizeCriterion("little overfitting", f"shrinkage of {kept:g} or more", patients(kept)),
        SizeCriterion(
            "little optimism",
            f"Nagelkerke's R² at most {_OPTIMISM:g} too high",
            patients(optimism),
        ),
        SizeCriterion(
            "prevalence",
            f"95 % interval at most ± {_MARGIN:g}",
            math.ceil((quantile / _MARGIN) ** 2 * share * (1 - share)),
        ),
    )
    return SampleSize(criteria, share, (f"The expected Cox-Snell R² is {explained:.3f}.",))
