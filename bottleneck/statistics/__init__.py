"""Confidence intervals and hypothesis tests on plain arrays, for samples grouped by patient.

======================  =====================================================================
Question                Functions
======================  =====================================================================
AUROC                   ``roc_auc_interval``, ``macro_auc_interval``
Difference of AUROCs    ``roc_auc_difference``, ``macro_auc_difference``
Best of several models  ``best_auc_interval``
Subgroup differences    ``subgroup_auc_test``, ``subgroup_proportion_test``
Proportion              ``wilson_interval``, ``proportion_interval``, ``diagnostic_accuracy``
Not worse by a margin   ``roc_auc_noninferiority``
Difference of accuracy  ``mcnemar_test``
Probabilities           ``calibration_line``, ``calibration_curve``, ``reliability_curve``,
                        ``observed_expected_ratio``, ``brier_interval``,
                        ``expected_calibration_error``
Sets of classes         ``conformal_sets``, ``conformal_p_values``
Lesions and candidates  ``free_response``
Use at a threshold      ``net_benefit``, ``decision_curve``
Several tests or folds  ``holm``, ``corrected_resampled_t``
Number of patients      ``effective_number``, ``holds_level``
Size of a study         ``validation_size``, ``comparison_size``, ``development_size``
Several centres         ``random_effects``
Shift between cohorts   ``mmd_test``, ``knn_outliers``
Unlike the training     ``distance_percentiles``
======================  =====================================================================

Except for the size of a study, all take true classes first, then scores, probabilities or
predicted classes, then ``groups`` (patients) and ``folds``: lists, arrays or Series with one value
per sample. ``positive`` names the positive class; 1 and True need no name. Results are small
objects with ``value``, ``low``, ``high``, ``n`` and ``method``. ``docs/guide/statistics.md`` says
which function answers which question.
"""

from bottleneck.statistics.accuracy.diagnostic_accuracy import (
    DiagnosticAccuracy,
    diagnostic_accuracy,
)
from bottleneck.statistics.accuracy.mcnemar import McNemar, mcnemar_test
from bottleneck.statistics.accuracy.proportions import proportion_interval, wilson_interval
from bottleneck.statistics.heterogeneity.meta_analysis import RandomEffects, random_effects
from bottleneck.statistics.heterogeneity.subgroup_tests import (
    SubgroupTest,
    subgroup_auc_test,
    subgroup_proportion_test,
)
from bottleneck.statistics.inference.corrections import (
    ResampledDifference,
    corrected_resampled_t,
    holm,
)
from bottleneck.statistics.inference.intervals import Interval, effective_number, holds_level
from bottleneck.statistics.planning.comparison_size import comparison_size
from bottleneck.statistics.planning.development_size import development_size
from bottleneck.statistics.planning.sample_size import SampleSize, SizeCriterion
from bottleneck.statistics.planning.validation_size import validation_size
from bottleneck.statistics.probabilities.calibration_curves import (
    CalibrationCurve,
    calibration_curve,
)
from bottleneck.statistics.probabilities.calibration_lines import (
    CalibrationLine,
    calibration_line,
    observed_expected_ratio,
)
from bottleneck.statistics.probabilities.conformal_prediction import (
    conformal_p_values,
    conformal_sets,
)
from bottleneck.statistics.probabilities.net_benefit import (
    DecisionCurve,
    decision_curve,
    net_benefit,
)
from bottleneck.statistics.probabilities.reliability_curves import (
    ReliabilityBin,
    ReliabilityCurve,
    brier_interval,
    expected_calibration_error,
    reliability_curve,
)
from bottleneck.statistics.roc.auroc import roc_auc_interval
from bottleneck.statistics.roc.auroc_difference import AucDifference
from bottleneck.statistics.roc.auroc_multiclass import macro_auc_interval
from bottleneck.statistics.roc.auroc_tests import (
    macro_auc_difference,
    roc_auc_difference,
)
from bottleneck.statistics.roc.best_of_several import BestAuroc, best_auc_interval
from bottleneck.statistics.roc.free_response import FreeResponse, free_response
from bottleneck.statistics.roc.noninferiority import NonInferiority, roc_auc_noninferiority
from bottleneck.statistics.shift.knn_outliers import knn_outliers
from bottleneck.statistics.shift.mmd import MmdResult, mmd_test
from bottleneck.statistics.shift.training_distances import distance_percentiles

__all__ = [
    "AucDifference",
    "BestAuroc",
    "CalibrationCurve",
    "CalibrationLine",
    "DecisionCurve",
    "DiagnosticAccuracy",
    "FreeResponse",
    "Interval",
    "McNemar",
    "MmdResult",
    "NonInferiority",
    "RandomEffects",
    "ReliabilityBin",
    "ReliabilityCurve",
    "ResampledDifference",
    "SampleSize",
    "SizeCriterion",
    "SubgroupTest",
    "best_auc_interval",
    "brier_interval",
    "calibration_curve",
    "calibration_line",
    "comparison_size",
    "conformal_p_values",
    "conformal_sets",
    "corrected_resampled_t",
    "decision_curve",
    "development_size",
    "diagnostic_accuracy",
    "distance_percentiles",
    "effective_number",
    "expected_calibration_error",
    "free_response",
    "holds_level",
    "holm",
    "knn_outliers",
    "macro_auc_difference",
    "macro_auc_interval",
    "mcnemar_test",
    "mmd_test",
    "net_benefit",
    "observed_expected_ratio",
    "proportion_interval",
    "random_effects",
    "reliability_curve",
    "roc_auc_difference",
    "roc_auc_interval",
    "roc_auc_noninferiority",
    "subgroup_auc_test",
    "subgroup_proportion_test",
    "validation_size",
    "wilson_interval",
]
