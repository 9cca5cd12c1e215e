"""Normally distributed scores: the variance of their AUROC, and the risks that they stand for."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from bottleneck.statistics.planning.sample_size import Clustering

__all__ = ["RiskDistribution", "auroc_covariance", "placement_correlation"]

Floats = NDArray[np.float64]

# Points of the numerical integration: log-odds beyond 40 have a risk of 0 or 1.
_GRID = np.linspace(-40, 40, 80_001)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(61)


def _both_above(first: float, second: float, correlation: float) -> float:
    """Return P(U < first, V < second) for two standard normal variables."""
    if first == second:
        slope = np.sqrt((1 - correlation) / (1 + correlation))
        return float(special.ndtr(first) - 2 * special.owens_t(first, slope))
    covariance = [[1, correlation], [correlation, 1]]
    made = stats.multivariate_normal.cdf([first, second], cov=covariance, allow_singular=True)
    return float(made)


def auroc_covariance(
    first: float,
    second: float,
    n_positive: float,
    n_negative: float,
    clustering: Clustering,
    correlation: float = 1.0,
) -> float:
    """Return the covariance of the AUROCs of two scores of the same patients.

    The scores are normal with equal variances in both classes, and every patient has equally many
    images of one class. The AUROC is a two-sample U-statistic of the patients (Obuchowski 1997,
    Biometrics 53:567), and the probabilities that its variance consists of are those of bivariate
    normal variables (Bamber 1975, Journal of Mathematical Psychology 12:387).

    Parameters
    ----------
    first, second : float
        The true AUROCs.
    n_positive, n_negative : float
        Numbers of patients.
    clustering : Clustering
        Images per patient, and the correlation of their scores.
    correlation : float
        Correlation of the two scores of the same image, within a class. The scores of two images
        of a patient correlate by this times the ICC. 1 for the variance of one AUROC.
    """
    a, b = float(special.ndtri(first)), float(special.ndtri(second))
    m, same, other = clustering.images, correlation, correlation * clustering.icc

    def joint(r: float) -> float:
        return _both_above(a, b, r) - first * second

    shared = (joint(same / 2) + (m - 1) * joint(other / 2)) / m
    pair = (
        joint(same) + 2 * (m - 1) * joint((same + other) / 2) + (m - 1) ** 2 * joint(other)
    ) / m**2
    return ((n_negative - 1) * shared + (n_positive - 1) * shared + pair) / (
        n_positive * n_negative
    )


def placement_correlation(auroc: float, icc: float) -> float:
    """Return the correlation of the placement values of two images of a patient.

    The placement value of an image is the share of the other class that it exceeds, or falls
    below. It varies by patient a little less than the score itself.
    """
    a = float(special.ndtri(auroc))
    return (_both_above(a, a, icc / 2) - auroc**2) / (_both_above(a, a, 0.5) - auroc**2)


@dataclasses.dataclass(frozen=True, eq=False)
class RiskDistribution:
    """Distribution of the predicted risks of a calibrated model, as their log-odds.

    Attributes
    ----------
    log_odds, weight : ndarray of float64, shape (n,)
        Points on the scale of the log-odds, and their shares of all images.
    """

    log_odds: Floats
    weight: Floats

    @classmethod
    def from_auroc(cls, auroc: float, prevalence: float) -> RiskDistribution:
        """Return normal log-odds with equal variances in both classes, which give an AUROC.

        A calibrated model then has the variance 2 z² within a class and the difference 2 z² of
        the means, with z the normal quantile of the AUROC; the means follow from the prevalence.
        """
        spread = np.sqrt(2) * float(special.ndtri(auroc))
        low = special.logit(prevalence) - spread**2 / 2
        points = np.linspace(low - 9 * spread, low + spread**2 + 9 * spread, len(_GRID))
        negative, positive = (
            stats.norm.pdf(points, mean, spread) for mean in (low, low + spread**2)
        )
        return cls._of(points, (1 - prevalence) * negative + prevalence * positive)

    @classmethod
    def from_normal(cls, mean: float, deviation: float) -> RiskDistribution:
        """Return log-odds with a normal distribution over all images."""
        points = np.linspace(mean - 9 * deviation, mean + 9 * deviation, len(_GRID))
        return cls._of(points, stats.norm.pdf(points, mean, deviation))

    @classmethod
    def from_beta(cls, alpha: float, beta: float) -> RiskDistribution:
        """Return risks with a beta distribution over all images."""
        log_density = alpha * special.log_expit(_GRID) + beta * special.log_expit(-_GRID)
        return cls._of(_GRID, np.exp(log_density - log_density.max()))

    @classmethod
    def _of(cls, points: Floats, density: Floats) -> RiskDistribution:
        return cls(points, density / density.sum())

    @property
    def mean_risk(self) -> float:
        """The mean of the risks, which is the prevalence if the model is calibrated."""
        return float(self.weight @ special.expit(self.log_odds))

    def rates(self, threshold: float) -> tuple[float, float]:
        """Return sensitivity and specificity where risks from a threshold on are positive."""
        risk = special.expit(self.log_odds)
        above = risk >= threshold
        positive, negative = self.weight * risk, self.weight * (1 - risk)
        return (
            float(positive[above].sum() / positive.sum()),
            float(negative[~above].sum() / negative.sum()),
        )

    def explained(self) -> float:
        """Return the Cox-Snell R² of these risks: 1 - exp(-likelihood ratio per image)."""
        risk = special.expit(self.log_odds)
        share = self.mean_risk
        inside = special.xlogy(risk, risk) + special.xlogy(1 - risk, 1 - risk)
        null = special.xlogy(share, share) + special.xlogy(1 - share, 1 - share)
        return float(-np.expm1(-2 * (self.weight @ inside - null)))

    def slope_variance(self, clustering: Clustering) -> float:
        """Return the variance of the calibration slope, times the number of patients.

        With one image per patient it is that of Riley et al. (2021, Statistics in Medicine
        40:4230), the inverse of Fisher's information at an intercept of 0 and a slope of 1. With
        several it is the sandwich variance of Liang & Zeger (1986, Biometrika 73:13): the
        log-odds of a patient's images have a Gaussian copula with the ICC within a class.
        """
        risk = special.expit(self.log_odds)
        binomial = self.weight * risk * (1 - risk)
        # About this centre the slope is independent of the intercept, and no digits are lost where
        # the log-odds hardly vary.
        centre = float(binomial @ self.log_odds / binomial.sum())
        information = float(binomial @ (self.log_odds - centre) ** 2)
        m = clustering.images
        between = self._between(clustering.icc, centre) if m > 1 else 0.0
        return (information + (m - 1) * between) / m / information**2

    def _between(self, icc: float, centre: float) -> float:
        """Return the mean product of the slope's scores of two images of a patient."""
        risk = special.expit(self.log_odds)
        weights = _WEIGHTS / _WEIGHTS.sum()
        shared = np.sqrt(icc) * _NODES[:, None] + np.sqrt(1 - icc) * _NODES
        total = 0.0
        for label in (0, 1):
            density = self.weight * (risk if label else 1 - risk)
            below = np.cumsum(density) - density / 2
            x = np.interp(special.ndtr(shared), below / density.sum(), self.log_odds)
            residual = label - special.expit(x)
            mean = (residual * (x - centre)) @ weights
            total += float(density.sum() * (mean**2 @ weights))
        return total
