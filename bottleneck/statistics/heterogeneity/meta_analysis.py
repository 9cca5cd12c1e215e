"""Random-effects meta-analysis: the mean over centres, and the prediction for a new one."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from bottleneck.errors import UsageError
from bottleneck.statistics.arguments import as_numbers, check_level, check_same_rows
from bottleneck.statistics.inference.intervals import show_bounds

__all__ = ["RandomEffects", "random_effects"]

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class RandomEffects:
    """The mean of a quantity over centres, and what to expect of a new centre.

    Attributes
    ----------
    mean : float
        Estimated mean of the centres' true values.
    low, high : float
        Confidence interval of the mean.
    prediction_low, prediction_high : float
        Prediction interval of the true value of a new centre.
    tau_squared : float
        Estimated variance of the true values between centres.
    standard_error : float
        Standard error of the mean.
    level : float
        Level of both intervals.
    method : str
        Name of the method.

    Examples
    --------
    >>> random_effects([1.2, 0.8, 1.5], [0.3, 0.3, 0.3]).standard_error > 0
    True
    """

    mean: float
    low: float
    high: float
    prediction_low: float
    prediction_high: float
    tau_squared: float
    standard_error: float
    level: float
    method: str

    def __repr__(self) -> str:
        return (
            f"RandomEffects({self.mean:.3g}, {show_bounds(self)}, new centre "
            f"{self.prediction_low:.3g} to {self.prediction_high:.3g}, {self.method})"
        )


def random_effects(
    estimates: ArrayLike, standard_errors: ArrayLike, level: float = 0.95
) -> RandomEffects:
    """Combine the estimates of several centres, and predict that of a new one.

    The true values of the centres are taken to be a normal sample, so estimates should be on a
    scale without bounds, such as the logit of an AUROC.

    Parameters
    ----------
    estimates : array-like of float, shape (n_centres,)
        Estimates of independent centres, at least three.
    standard_errors : array-like of float, shape (n_centres,)
        Their standard errors, above 0.
    level : float
        Level of the intervals.

    Returns
    -------
    RandomEffects
        The variance between centres, tau², maximises the restricted likelihood (REML; Viechtbauer
        2005, Journal of Educational and Behavioral Statistics 30:261). The mean has the
        weights w = 1 / (SE² + tau²), and the standard error of Hartung & Knapp (2001, Statistics
        in Medicine 20:3875), sqrt(sum w (x - mean)² / ((k - 1) sum w)), or 1 / sqrt(sum w) if
        that is larger (Röver, Knapp & Friede 2015, BMC Medical Research Methodology 15:99);
        its interval uses t with k - 1 degrees of freedom for k centres. The prediction interval
        is mean ± t sqrt(tau² + standard error²) with k - 2 degrees of freedom (Higgins, Thompson
        & Spiegelhalter 2009, Journal of the Royal Statistical Society A 172:137; with REML
        and this standard error: Partlett & Riley 2017, Statistics in Medicine 36:301). It is
        approximate: in simulations of 5 to 12 centres a 95 % interval covers 83 to 100 %, least
        where centres differ by less than their standard errors.

    Raises
    ------
    UsageError
        If there are fewer than three centres, a value is not finite, a standard error is not
        above 0, the arrays differ in shape, or the level is not between 0 and 1.

    Examples
    --------
    AUROCs of five centres on the logit scale:

    >>> import numpy as np
    >>> from scipy.special import expit, logit
    >>> auroc, error = np.array([0.82, 0.75, 0.88, 0.79, 0.70]), np.full(5, 0.03)
    >>> found = random_effects(logit(auroc), error / (auroc * (1 - auroc)))
    >>> f"{expit(found.mean):.2f} ({expit(found.low):.2f} to {expit(found.high):.2f})"
    '0.79 (0.69 to 0.86)'
    >>> f"{expit(found.prediction_low):.2f} to {expit(found.prediction_high):.2f}"
    '0.51 to 0.93'
    """
    check_same_rows(estimates=estimates, standard_errors=standard_errors)
    x = as_numbers("estimates", estimates, unit="centre")
    errors = as_numbers("standard_errors", standard_errors, unit="centre")
    if x.shape != errors.shape or len(x) < 3:
        raise UsageError(
            f"estimates and standard_errors must hold one number for each of at least 3 centres, "
            f"not {len(x)} and {len(errors)} numbers"
        )
    if not (errors > 0).all():
        raise UsageError(
            f"standard_errors must be above 0, not {errors.min():.4g}: a centre without a standard "
            "error cannot be combined with others"
        )
    tail, k = (1 - check_level(level)) / 2, len(x)
    tau_squared = _maximise_restricted_likelihood(x, errors**2)
    weights = 1 / (errors**2 + tau_squared)
    mean = float(weights @ x / weights.sum())
    scale = max(1.0, float(weights @ (x - mean) ** 2) / (k - 1))
    error = float(np.sqrt(scale / weights.sum()))
    margin = -float(special.stdtrit(k - 1, tail)) * error
    reach = -float(special.stdtrit(k - 2, tail)) * float(np.sqrt(tau_squared + error**2))
    return RandomEffects(
        mean,
        mean - margin,
        mean + margin,
        mean - reach,
        mean + reach,
        tau_squared,
        error,
        level,
        f"random effects of {k} centres, REML, Hartung & Knapp",
    )


def _maximise_restricted_likelihood(x: Floats, variances: Floats) -> float:
    """Return the variance between centres, at least 0."""

    def loss(tau_squared: Floats) -> Floats:
        weights = 1 / (variances + tau_squared[:, None])
        total = weights.sum(axis=1)
        squares = weights * (x - (weights @ x / total)[:, None]) ** 2
        return (squares - np.log(weights)).sum(axis=1) + np.log(total)

    # A grid first, because the likelihood can have several maxima; then between its neighbours.
    most = 4 * max(float(np.ptp(x)) ** 2, float(variances.max()))
    grid = np.concatenate([[0.0], np.geomspace(1e-9 * most, most, 200)])
    best = int(np.argmin(loss(grid)))
    if best == 0:
        return 0.0
    found = optimize.minimize_scalar(
        lambda value: float(loss(np.array([value]))[0]),
        bounds=(grid[best - 1], grid[min(best + 1, len(grid) - 1)]),
        method="bounded",
        options={"xatol": 1e-9 * most},
    )
    return float(found.x)
