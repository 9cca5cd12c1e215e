"""What checks of heat maps say: how similar maps are if the model is made random."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.explain.checks.map_similarity import MEASURES, Measure
from bottleneck.statistics.inference.intervals import (
    Interval,
    effective_number,
    influence_interval,
    with_counts,
)
from bottleneck.statistics.inference.patient_variance import patient_variance
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MapChecks", "SimilarityCheck", "Verdict"]

Floats = NDArray[np.float64]
Verdict = Literal["passed", "failed", "not decided"]

#: Rank correlation below which maps share less than a tenth of the variance of their ranks.
ALIKE = 0.3
# Effective number of patients below which there is an estimate only, as in ``holds_level``.
_LEAST_EFFECTIVE = 10
_LEVEL = 0.95
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class SimilarityCheck:
    """The similarity of heat maps with others of the same images.

    Attributes
    ----------
    name : str
        What the others are: "random weights", "permuted labels" or "other images".
    values : ndarray of float64, shape (n_images, n_draws, 3)
        The similarities, in the order of ``MEASURES``; NaN where there is none.
    patients : ndarray of str or int, shape (n_images,)
        Names of the patients, or numbers of images without one.
    how : str
        How the others were made.
    """

    name: str
    values: Floats
    patients: NDArray[Any]
    how: str

    def __repr__(self) -> str:
        similarity = self.interval("absolute spearman").value
        return describe(self, self.name, f"{similarity:.2f}", self.verdict)

    def interval(self, measure: Measure = "absolute spearman") -> Interval:
        """Return the mean similarity over images and draws, with its interval.

        The variance of the mean is the sum of that between patients and that between draws, which
        is no less than the true one (Owen 2007, The pigeonhole bootstrap, Annals of Applied
        Statistics 1:386).

        Parameters
        ----------
        measure : {"spearman", "absolute spearman", "ssim"}
            The measure.
        """
        values = self.values[:, :, MEASURES.index(measure)]
        kept = np.isfinite(values).any(1)
        values, own = values[kept], self.patients[kept]
        patients = np.unique(own, return_inverse=True)[1].astype(np.int64)
        name = "mean, t by patient" + (" and draw" if values.shape[1] > 1 else "")
        if not len(values):
            nothing = Interval(np.nan, np.nan, np.nan, np.nan, _LEVEL, "no map")
            return with_counts(nothing, 0, patients)
        means = np.nanmean(values, axis=1)
        value = float(means.mean())
        if np.nanmax(values) - np.nanmin(values) < _ROUNDING and patients.any():
            # Maps that do not change at all have a similarity of 1, without any variation.
            exact = Interval(value, value, value, 0.0, _LEVEL, "mean, without variation")
            return with_counts(exact, len(means), patients)
        same = np.zeros(len(means), np.int64)
        variance, degrees = patient_variance((means - value) / len(means), same, same, patients)
        if values.shape[1] > 1 and variance > 0:
            draws = np.array([np.nanmean(one) for one in values.T if np.isfinite(one).any()])
            between = float(draws.var(ddof=1) / len(draws)) if len(draws) > 1 else np.nan
            total = variance + between
            # Satterthwaite 1946.
            degrees = total**2 / (variance**2 / degrees + between**2 / max(len(draws) - 1, 1))
            variance = total
        made = influence_interval(
            value, variance, degrees, level=_LEVEL, bounds=(-1, 1), method=name
        )
        return with_counts(made, len(means), patients)

    @property
    def n_constant(self) -> int:
        """Images with a map that is the same everywhere, in all draws."""
        return int((~np.isfinite(self.values[:, :, 1]).any(1)).sum())

    @property
    def verdict(self) -> Verdict:
        """Whether the maps depend on what was made random.

        "passed" if the interval of the rank correlation is below 0.3, with and without the sign;
        "failed" if one of them is above; otherwise, or with an effective number of fewer than 10
        patients, "not decided".
        """
        intervals = [self.interval("spearman"), self.interval("absolute spearman")]
        used = self.patients[np.isfinite(self.values[:, :, 1]).any(1)]
        if not len(used) or effective_number(used) < _LEAST_EFFECTIVE:
            return "not decided"
        if any(one.low > ALIKE for one in intervals):
            return "failed"
        return "passed" if all(one.high < ALIKE for one in intervals) else "not decided"


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MapChecks:
    """Whether heat maps depend on the model.

    Attributes
    ----------
    method : str
        Method of the maps.
    random_weights : SimilarityCheck
        Maps with random weights of the network.
    permuted_labels : SimilarityCheck or None
        Maps of heads that were fitted to permuted labels; None where the training rows are not
        given.
    other_images : SimilarityCheck
        Maps of images of other patients by the same model: what maps have in common without regard
        to the image, because all have a similar shape.
    """

    method: str
    random_weights: SimilarityCheck
    permuted_labels: SimilarityCheck | None
    other_images: SimilarityCheck

    def __repr__(self) -> str:
        return describe(
            self,
            counted(len(self.other_images.patients), f"{self.method} map"),
            *(f"{one.name} {one.verdict}" for one in self.checks),
        )

    @classmethod
    def join(cls, checks: Sequence[MapChecks]) -> Self:
        """Return the checks of several models together, such as those of the folds.

        A patient of several models is one patient; images without a patient are different ones.

        Raises
        ------
        UsageError
            If there is none, or the maps have several methods or numbers of draws.
        """
        if not checks:
            raise UsageError("there are no checks to join")
        if len({one.method for one in checks}) > 1:
            methods = ", ".join(sorted({one.method for one in checks}))
            raise UsageError(f"checks of one method can be joined, not of {methods}")
        permuted = [one.permuted_labels for one in checks if one.permuted_labels is not None]
        return cls(
            method=checks[0].method,
            random_weights=_join([one.random_weights for one in checks]),
            permuted_labels=_join(permuted) if permuted else None,
            other_images=_join([one.other_images for one in checks]),
        )

    @property
    def checks(self) -> tuple[SimilarityCheck, ...]:
        """The checks that were made."""
        made = (self.random_weights, self.permuted_labels)
        return tuple(one for one in made if one is not None)

    @property
    def verdict(self) -> Verdict:
        """ "failed" if a check failed; "passed" if all passed; otherwise "not decided"."""
        verdicts = {one.verdict for one in self.checks}
        if "failed" in verdicts:
            return "failed"
        return "passed" if verdicts == {"passed"} else "not decided"

    @property
    def words(self) -> tuple[str, ...]:
        """Sentences on each check, on the chance level, and on what was not checked."""
        sentences = [_describe(one) for one in self.checks]
        other = self.other_images.interval()
        if np.isfinite(other.value):
            sentences.append(
                f"For comparison, maps of different images by the same model reach {_show(other)}: "
                "this similarity is the shape that all maps share."
            )
        if self.permuted_labels is None:
            sentences.append(
                "Permuted labels: not checked, because this needs the training rows of a head; a "
                "trained network would have to be trained again."
            )
        return tuple(sentences)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per check and measure.

        Returns
        -------
        DataFrame
            Columns check ("random weights", "permuted labels", "other images"), measure, value,
            low, high, images, patients, draws, verdict, method.
        """
        import pandas as pd

        rows = []
        for one in (*self.checks, self.other_images):
            for measure in MEASURES:
                i = one.interval(measure)
                draws = one.values.shape[1]
                verdict = "" if one is self.other_images else one.verdict
                own = (one.name, measure, i.value, i.low, i.high, i.n, i.n_groups)
                rows.append((*own, draws, verdict, i.method))
        names = ["check", "measure", "value", "low", "high", "images", "patients"]
        return pd.DataFrame(rows, columns=[*names, "draws", "verdict", "method"])


def _join(checks: Sequence[SimilarityCheck]) -> SimilarityCheck:
    if len({one.values.shape[1] for one in checks}) > 1:
        raise UsageError("checks with the same number of draws can be joined")
    named = [one.patients.dtype.kind == "U" for one in checks]
    if any(named) and not all(named):
        raise UsageError("join checks that all have patients, or that all have none")
    values = np.concatenate([one.values for one in checks])
    own = np.concatenate([one.patients for one in checks]) if all(named) else np.arange(len(values))
    return dataclasses.replace(checks[0], values=values, patients=own)


_MEANING: dict[Verdict, str] = {
    "passed": "passed. The maps depend on {what}",
    "failed": "failed. The maps look alike without {what}, so they are not evidence of it",
    "not decided": "not decided. Check more images of more patients",
}
_WHAT = {
    "random weights": "the weights of the network",
    "permuted labels": "what the head learnt from the labels",
}


def _describe(check: SimilarityCheck) -> str:
    intervals = {measure: check.interval(measure) for measure in MEASURES}
    main = intervals["absolute spearman"]
    start = f"{check.name[0].upper()}{check.name[1:]}: "
    if not np.isfinite(main.value):
        return f"{start}not decided. Every map is the same everywhere."
    constant = f" {counted(check.n_constant, 'map')} without any variation left out."
    images = f"{counted(main.n or 0, 'image')} of {counted(main.n_groups or 0, 'patient')}"
    return (
        f"{start}{_MEANING[check.verdict].format(what=_WHAT[check.name])}. Rank correlation with "
        f"the maps of the model: {_show(main)}; with the sign: {_show(intervals['spearman'])}; "
        f"SSIM: {_show(intervals['ssim'])}. The same map has 1, and an interval below {ALIKE:g} is "
        f"passed. {images}, {counted(check.values.shape[1], 'draw')}. {check.how}"
        + constant
        * bool(check.n_constant)
    )


def _show(interval: Interval) -> str:
    if not np.isfinite(interval.value):
        return "unknown"
    bounds = f" (95 % {_number(interval.low)} to {_number(interval.high)})"
    return _number(interval.value) + bounds * bool(np.isfinite(interval.low))


def _number(value: float) -> str:
    """Return a number with two decimals and a minus sign, such as "−0.05"; zero has no sign."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")
