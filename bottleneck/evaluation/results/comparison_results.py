"""Results of a comparison: external cohorts and the whole. Values only, no arithmetic."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.audit import Audit
from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.data.labels.selection import Selection
from bottleneck.evaluation.cases.wrong_cases import ImageName, WrongCase
from bottleneck.evaluation.metrics.metric_values import Difference
from bottleneck.evaluation.results.arm_results import Evaluation
from bottleneck.evaluation.results.result_parts import (
    ArmChoice,
    ConflictSummary,
    Drop,
    FeatureEmbedding,
    MarginResults,
    Shift,
)
from bottleneck.evaluation.results.result_views import (
    Part,
    arms_frame,
    differences_frame,
    drops_frame,
    show_comparison,
    show_external,
)
from bottleneck.predictions import Predictions
from bottleneck.text.short_repr import show_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "Evaluation", "External"]


@dataclasses.dataclass(frozen=True, eq=False)
class External:
    """Results of an external cohort, tested once by heads trained on all internal samples.

    Attributes
    ----------
    dataset : mapping
        As ``Comparison.dataset``.
    evaluations : tuple of Evaluation
        Arms, under the same names.
    differences : tuple of Difference
        Differences between pairs of arms on this cohort.
    drops : tuple of Drop
        Drops of all metrics of all arms.
    shifts : tuple of Shift
        One per feature set.
    definitions : mapping of str to mapping of str to str
        Texts for "inside" and "outside" by property: "labels", "images", "size" and others.
    warnings : tuple of CheckWarning
        Warnings about the cohort, the most severe first.
    noninferiority : MarginResults or None
        Tests for non-inferiority to the reference arm on this cohort; None without a margin.
    conflicts : ConflictSummary or None
        Copies of the cohort with different labels; None where there are none.
    thumbnails, image_names, cases : mapping
        Misclassified samples of the cohort, and their images, as in ``Comparison``; ``row`` is one
        of the cohort, and that of a nearest image one of the internal data set.
    """

    dataset: Mapping[str, Any]
    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...]
    drops: tuple[Drop, ...]
    shifts: tuple[Shift, ...]
    definitions: Mapping[str, Mapping[str, str]]
    warnings: tuple[CheckWarning, ...] = ()
    noninferiority: MarginResults | None = None
    conflicts: ConflictSummary | None = None
    thumbnails: Mapping[int, NDArray[np.uint8]] = dataclasses.field(default_factory=dict)
    image_names: Mapping[int, ImageName] = dataclasses.field(default_factory=dict)
    cases: Mapping[str, tuple[WrongCase, ...]] = dataclasses.field(default_factory=dict)

    __repr__ = show_external
    _repr_html_ = show_html

    def to_frame(self, part: Part = "metrics") -> pd.DataFrame:
        """Return the metrics of all arms, as ``Comparison.to_frame`` does."""
        return arms_frame(self, part)

    def differences_frame(self) -> pd.DataFrame:
        """Return the differences between arms, as ``Comparison.differences_frame`` does."""
        return differences_frame(self.differences)

    def drops_frame(self) -> pd.DataFrame:
        """Return how far each metric differs from the internal one, one row per arm and metric.

        Returns
        -------
        DataFrame
            Columns arm, metric, and inside, outside and difference, each with its bounds, such as
            inside_low and inside_high (NaN without an interval).
        """
        return drops_frame(self.drops)


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Results of several arms on the same samples.

    Attributes
    ----------
    dataset : mapping
        name, fingerprint, n_samples, n_patients (or None), n_unnamed (samples without a
        patient), classes (label to count), patients (label to count, or None), positive,
        failures, failures_by_class (label to count, as far as recorded), excluded (reason to
        count), selection (excluded, left_out, merged and ``words``, as in ``Model.selection``;
        empty if nothing was chosen), sources (number of samples of each data set that was
        concatenated; empty for a single one).
    protocol : mapping
        kind ("cross-validation", "fixed split", "given folds", "centres" or
        "test set"), folds, repeats (those of heads on features), common_repeats (those that
        imported predictions have too), inner_folds, inner_splits (the number asked for), seed,
        grouped (bool), unit ("image" or "patient"), aggregate ("mean", "max" or None),
        allow_leakage (bool), conflicts ("drop", "keep" or "majority"), primary
        ("auroc: DeLong …"), prevalence and act_at (float or None), and ``words``: some sentences
        for a methods section.
    classes : tuple of str
        All labels, sorted.
    positive : str or None
        The positive class; None with three classes or more where none was stated.
    evaluations : tuple of Evaluation
        Arms; those without images come last, the prior-only arm at the end.
    differences : tuple of Difference
        Differences between pairs of arms.
    noninferiority : MarginResults or None
        Tests for non-inferiority to the reference arm; None without a margin.
    warnings : tuple of CheckWarning
        Warnings, the most severe first.
    features : tuple of mapping
        Provenance of each feature file.
    audit : Audit or None
        Leak audit of the samples.
    thumbnails : mapping of int to ndarray of uint8, shape (32, 32) or (height, width, 3)
        Images that findings of the audit and ``cases`` are about, by row: in colour, of 128
        pixels, where ``dataset`` was given, and otherwise the grey ones of the feature file.
    image_names : mapping of int to ImageName
        Id, patient and file of these images, by row; also where there is no thumbnail.
    cases : mapping of str to tuple of WrongCase
        Misclassified samples of each arm with images, by its name, the most confident error
        first: up to 24, among which the true classes take turns, with the training images that
        are nearest to each.
    external : tuple of External
        External cohorts.
    conflicts : ConflictSummary or None
        Copies with different labels; None where there are none.
    inner : mapping of str to tuple of Predictions
        Inner predictions of each arm, by its name, one element per fold and repeat: out-of-fold
        predictions of the training set, or those of the validation set. Thresholds and
        calibrations are set on them.
    selection : Selection or None
        Samples and classes that were chosen, as they were given.
    embeddings : tuple of FeatureEmbedding
        Principal components of each feature set, for ``plot_embedding``.
    choice : ArmChoice or None
        AUROCs of three arms or more, with intervals that allow for the choice of one of them; None
        with fewer.
    ignored : mapping of str to int
        Number of findings of each check that was ignored, by its code.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, Protocol, compare
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> quick = Protocol(n_splits=2, inner_splits=2)
    >>> comparison = compare(FeatureSet.from_arrays(X, y), heads=("logistic",), protocol=quick)
    >>> comparison.positive, comparison.protocol["kind"]
    ('malignant', 'cross-validation')
    """

    dataset: Mapping[str, Any]
    protocol: Mapping[str, Any]
    classes: tuple[str, ...]
    positive: str | None
    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...]
    warnings: tuple[CheckWarning, ...]
    features: tuple[Mapping[str, Any], ...]
    noninferiority: MarginResults | None = None
    audit: Audit | None = None
    thumbnails: Mapping[int, NDArray[np.uint8]] = dataclasses.field(default_factory=dict)
    image_names: Mapping[int, ImageName] = dataclasses.field(default_factory=dict)
    cases: Mapping[str, tuple[WrongCase, ...]] = dataclasses.field(default_factory=dict)
    external: tuple[External, ...] = ()
    conflicts: ConflictSummary | None = None
    inner: Mapping[str, tuple[Predictions, ...]] = dataclasses.field(default_factory=dict)
    selection: Selection | None = None
    embeddings: tuple[FeatureEmbedding, ...] = ()
    choice: ArmChoice | None = None
    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)

    __repr__ = show_comparison
    _repr_html_ = show_html

    def to_frame(self, part: Part = "metrics") -> pd.DataFrame:
        """Return the metrics of all arms as a tidy table: one row per arm and metric.

        External cohorts have tables of their own, with the same columns:
        ``pd.concat([c.to_frame(), *(e.to_frame() for e in c.external)])`` has all of them.

        Parameters
        ----------
        part : {"metrics", "classes", "subgroups", "operating points", "centres"}
            As for ``Evaluation.to_frame``.

        Returns
        -------
        DataFrame
            Columns dataset, arm, backbone, weights, head and positive (the positive class), with
            missing values where there is none, and then those of ``Evaluation.to_frame``.

        Raises
        ------
        UsageError
            If there is no such part.

        Examples
        --------
        >>> from bottleneck import Predictions, compare
        >>> own = Predictions.from_arrays([0, 1, 0, 1], [0.2, 0.9, 0.6, 0.4])
        >>> frame = compare(predictions={"a": own, "b": own}).to_frame()
        >>> frame.loc[frame["metric"] == "auroc", "arm"].tolist()
        ['a', 'b']
        """
        return arms_frame(self, part)

    def differences_frame(self) -> pd.DataFrame:
        """Return the differences between arms as a table: one row per pair of arms and metric.

        Returns
        -------
        DataFrame
            Columns a, b, metric, value (a minus b), low, high, p, p_adjusted, method, role and
            repeats, as in ``Difference``.

        Examples
        --------
        >>> from bottleneck import Predictions, compare
        >>> own = Predictions.from_arrays([0, 1, 0, 1], [0.2, 0.9, 0.6, 0.4])
        >>> made = compare(predictions={"a": own, "b": own})
        >>> frame = made.differences_frame()
        >>> frame["metric"].tolist()
        ['auroc', 'accuracy']
        """
        return differences_frame(self.differences)
