"""Inverse power law of a learning curve, with the uncertainty of what it predicts."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

__all__ = ["PowerLaw", "fit_power_law"]

Floats = NDArray[np.float64]

# Theory has an exponent of 1 for linear classifiers, and of 1/2 where nothing is assumed.
_EXPONENTS = np.linspace(0.5, 1.25, 7)
_LEVELS = np.linspace(0.5025, 0.9975, 100)


@dataclasses.dataclass(frozen=True, eq=False)
class PowerLaw:
    """Posterior distribution of a learning curve, on a grid of its parameters.

    Attributes
    ----------
    reference : float
        Number of patients of the largest training set.
    limit, loss, exponent : ndarray of float64, shape (k,)
        The normal quantile z of the AUROC that is approached, how much is lost at the reference,
        and how fast that falls: z(n)² = limit² / (1 + loss (n / reference)^-exponent).
    weight : ndarray of float64, shape (k,)
        Probabilities of the parameters.
    """

    reference: float
    limit: Floats
    loss: Floats
    exponent: Floats
    weight: Floats

    def quantiles(self, n: float, shares: ArrayLike) -> Floats:
        """Return quantiles of the AUROC of models that are trained on n patients.

        Parameters
        ----------
        n : float
            Number of patients in the training set.
        shares : array-like of float
            Shares of the distribution, such as 0.025, 0.5 and 0.975.
        """
        loss = self.loss * (n / self.reference) ** -self.exponent
        values = special.ndtr(self.limit / np.sqrt(1 + loss))
        order = np.argsort(values)
        below = np.cumsum(self.weight[order])
        return np.interp(np.asarray(shares, float), below, values[order])


def fit_power_law(
    n: ArrayLike, value: ArrayLike, covariance: ArrayLike, *, least: float | None = None
) -> PowerLaw:
    """Fit an inverse power law to AUROCs, by Bayes' rule on a grid.

    Parameters
    ----------
    n : array-like of float, shape (k,)
        Numbers of patients in the training sets.
    value : array-like of float, shape (k,)
        The AUROCs.
    covariance : array-like of float, shape (k, k)
        Their covariance.
    least : float, optional
        The AUROC at the largest n below which the curve would not have been fitted. AUROCs that
        passed such a limit are too high on average; the likelihood is then that of AUROCs which
        passed it.

    Returns
    -------
    PowerLaw
        With many patients, the AUROC falls short of its limit by a multiple of n^-exponent; with
        none it is 0.5. With the exponent 1 it is the AUROC of Fisher's linear discriminant with a
        known covariance (Raudys & Jain 1991, IEEE Transactions on Pattern Analysis and Machine
        Intelligence 13:252). The prior is uniform over the limit and the AUROC at the largest n,
        between 0.5 and 1 and the limit not below the other, and over exponents from 0.5 to 1.25.

    Examples
    --------
    >>> import numpy as np
    >>> n = np.array([20, 40, 80, 160])
    >>> curve = fit_power_law(n, [0.66, 0.70, 0.74, 0.77], np.eye(4) * 0.005**2)
    >>> [f"{q:.2f}" for q in curve.quantiles(320, [0.025, 0.5, 0.975])]
    ['0.78', '0.80', '0.82']
    """
    sizes, found = np.asarray(n, float), np.asarray(value, float)
    reference = float(sizes.max())
    limit, last, exponent = (
        grid.ravel() for grid in np.meshgrid(_LEVELS, _LEVELS, _EXPONENTS, indexing="ij")
    )
    rises = limit >= last
    limit, last, exponent = special.ndtri(limit[rises]), special.ndtri(last[rises]), exponent[rises]
    loss = (limit / last) ** 2 - 1
    at = loss[:, None] * (sizes / reference) ** -exponent[:, None]
    expected = special.ndtr(limit[:, None] / np.sqrt(1 + at))
    root = np.linalg.cholesky(np.asarray(covariance, float))
    residual = np.linalg.solve(root, (found - expected).T)
    log_weight = -0.5 * (residual**2).sum(axis=0)
    if least is not None:
        largest = int(sizes.argmax())
        error = np.sqrt(np.asarray(covariance, float)[largest, largest])
        log_weight -= special.log_ndtr((expected[:, largest] - least) / error)
    weight = np.exp(log_weight - log_weight.max())
    return PowerLaw(reference, limit, loss, exponent, weight / weight.sum())
