"""Confidence intervals and hypothesis tests on plain arrays, for samples grouped by patient.

======================  ==================================================================
Quantity                Functions
======================  ==================================================================
AUROC                   ``roc_auc_interval``, ``cv_auc_interval``, ``macro_auc_interval``
Difference of AUROCs    ``delong_test``, ``cv_auc_difference``, ``macro_auc_difference``
Proportion              ``wilson_interval``, ``clustered_proportion_interval``,
                        ``effective_sample_size``
Difference of accuracy  ``mcnemar_test``
Any metric              ``influence_interval``, ``patient_variance``, ``overlap_factor``,
                        ``degrees_of_freedom``, ``corrected_resampled_t``, ``holm``,
                        ``average_intervals``, ``effective_number``, ``holds_level``,
                        ``invert_interval``
Several centres         ``random_effects``
Shift between cohorts   ``mmd_test``, ``knn_outliers``
======================  ==================================================================
"""

from bottleneck.statistics.auroc import cv_auc_interval, hoeffding_interval, roc_auc_interval
from bottleneck.statistics.auroc_multiclass import macro_auc_interval
from bottleneck.statistics.auroc_tests import (
    AucDifference,
    cv_auc_difference,
    delong_test,
    macro_auc_difference,
)
from bottleneck.statistics.auroc_variance import AurocEstimator, AurocInfluence
from bottleneck.statistics.corrections import ResampledDifference, corrected_resampled_t, holm
from bottleneck.statistics.intervals import (
    Interval,
    average_intervals,
    effective_number,
    holds_level,
    influence_interval,
)
from bottleneck.statistics.inversion import agree_with_p, invert_interval
from bottleneck.statistics.knn_outliers import knn_outliers
from bottleneck.statistics.mcnemar import McNemar, mcnemar_test
from bottleneck.statistics.meta_analysis import RandomEffects, random_effects
from bottleneck.statistics.mmd import MmdResult, mmd_test
from bottleneck.statistics.patient_variance import (
    degrees_of_freedom,
    overlap_factor,
    patient_variance,
)
from bottleneck.statistics.proportions import (
    clustered_proportion_interval,
    effective_sample_size,
    wilson_interval,
)

__all__ = [
    "AucDifference",
    "AurocEstimator",
    "AurocInfluence",
    "Interval",
    "McNemar",
    "MmdResult",
    "RandomEffects",
    "ResampledDifference",
    "agree_with_p",
    "average_intervals",
    "clustered_proportion_interval",
    "corrected_resampled_t",
    "cv_auc_difference",
    "cv_auc_interval",
    "degrees_of_freedom",
    "delong_test",
    "effective_number",
    "effective_sample_size",
    "hoeffding_interval",
    "holds_level",
    "holm",
    "influence_interval",
    "invert_interval",
    "knn_outliers",
    "macro_auc_difference",
    "macro_auc_interval",
    "mcnemar_test",
    "mmd_test",
    "overlap_factor",
    "patient_variance",
    "random_effects",
    "roc_auc_interval",
    "wilson_interval",
]
