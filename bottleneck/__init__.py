"""Frozen networks, classical classifiers, and an honest comparison of them on medical images."""

# pandas and xarray import any module called "bottleneck" as an optional accelerator. The version
# stands first because they may read it while this package is still loading. It stays below
# pandas's minimum (1.5), so that pandas does not use this package: docs/decisions/0001-the-name.md.
__version__ = "0.2.0"

import logging
import warnings
from typing import TYPE_CHECKING

# Silent, unless a program that uses the package wants its notes.
logging.getLogger(__name__).addHandler(logging.NullHandler())
warnings.filterwarnings("ignore", message=r"Pandas requires version '.*' or newer of 'bottleneck'")

__all__ = [
    "Augmentation",
    "Backbone",
    "BottleneckError",
    "CardCheck",
    "Comparison",
    "Evaluation",
    "Explanation",
    "Extraction",
    "FeatureSet",
    "FrozenBackbone",
    "Head",
    "ImageDataset",
    "Measures",
    "Model",
    "ModelExport",
    "ModelPredictions",
    "Predictions",
    "Preprocessing",
    "Protocol",
    "Reader",
    "Recalibration",
    "Sample",
    "Selection",
    "VolumePreprocessing",
    "VolumeRegion",
    "__version__",
    "audit_features",
    "augment",
    "check_card",
    "compare",
    "evaluate",
    "explain_predictions",
    "export_model",
    "extract",
    "extract_all",
    "fit",
    "load_backbone",
    "load_dataset",
    "load_features",
    "load_model",
    "load_new_images",
    "mcnemar_test",
    "on_probabilities",
    "on_scores",
    "plan_from_pilot",
    "plan_study",
    "plot_calibration",
    "plot_confusion",
    "plot_decision_curve",
    "plot_embedding",
    "plot_forest",
    "plot_free_response",
    "plot_learning_curve",
    "plot_noninferiority",
    "plot_roc",
    "plot_training",
    "read_predictions",
    "recalibrate",
    "roc_auc_difference",
    "roc_auc_interval",
    "run_leak_experiment",
    "start_app",
    "to_html",
    "wilson_interval",
    "write_card",
    "write_explanation",
    "write_report",
]

# The module that defines each public name. Names are imported at first use, so that importing
# this package loads neither torch nor pandas.
_MODULES = {
    "Augmentation": "bottleneck.data.augmented_copies",
    "Backbone": "bottleneck.backbones.backbone",
    "BottleneckError": "bottleneck.errors",
    "CardCheck": "bottleneck.model_card.checking.card_check",
    "Comparison": "bottleneck.evaluation.results.comparison_results",
    "Evaluation": "bottleneck.evaluation.results.arm_results",
    "Explanation": "bottleneck.explain.explanation",
    "Extraction": "bottleneck.features.extraction_result",
    "FeatureSet": "bottleneck.features.sets.feature_set",
    "FrozenBackbone": "bottleneck.features.estimator.frozen_backbone",
    "Head": "bottleneck.heads.head",
    "ImageDataset": "bottleneck.data.dataset",
    "Measures": "bottleneck.evaluation.measures",
    "Model": "bottleneck.deploy.models.model",
    "ModelExport": "bottleneck.export.folder.model_export",
    "ModelPredictions": "bottleneck.deploy.prediction.model_predictions",
    "Predictions": "bottleneck.predictions",
    "Preprocessing": "bottleneck.data.images.preprocessing",
    "Protocol": "bottleneck.data.splits.protocol",
    "Reader": "bottleneck.data.readers.built_in_readers",
    "Recalibration": "bottleneck.deploy.recalibration_result",
    "Sample": "bottleneck.data.samples.sample_table",
    "Selection": "bottleneck.data.labels.selection",
    "VolumePreprocessing": "bottleneck.data.volumes.volume_preprocessing",
    "VolumeRegion": "bottleneck.data.volumes.volume_region",
    "audit_features": "bottleneck.audit.audit",
    "augment": "bottleneck.data.augmented_copies",
    "check_card": "bottleneck.model_card.checking.card_check",
    "compare": "bottleneck.evaluation.compare",
    "evaluate": "bottleneck.evaluation.compare",
    "explain_predictions": "bottleneck.explain.explained_predictions",
    "export_model": "bottleneck.export.exporting",
    "extract": "bottleneck.features.extraction",
    "extract_all": "bottleneck.features.extraction",
    "fit": "bottleneck.deploy.fit",
    "load_backbone": "bottleneck.backbones.backbone",
    "load_dataset": "bottleneck.data.readers",
    "load_features": "bottleneck.features.file.reader",
    "load_model": "bottleneck.deploy.model_loading",
    "load_new_images": "bottleneck.data.readers.new_images.image_inputs",
    "mcnemar_test": "bottleneck.statistics.accuracy.mcnemar",
    "on_probabilities": "bottleneck.evaluation.metrics.own.own_metrics",
    "on_scores": "bottleneck.evaluation.metrics.own.own_metrics",
    "plan_from_pilot": "bottleneck.evaluation.planning.pilot_plan",
    "plan_study": "bottleneck.evaluation.planning.study_plan",
    "plot_calibration": "bottleneck.report.figures.plots.calibration_plot",
    "plot_confusion": "bottleneck.report.figures.plots.confusion_plot",
    "plot_decision_curve": "bottleneck.report.figures.plots.decision_plot",
    "plot_embedding": "bottleneck.report.figures.plots.embedding_plot",
    "plot_forest": "bottleneck.report.figures.plots.interval_plot",
    "plot_free_response": "bottleneck.report.figures.plots.free_response_plot",
    "plot_learning_curve": "bottleneck.report.figures.plots.learning_plot",
    "plot_noninferiority": "bottleneck.report.figures.plots.interval_plot",
    "plot_roc": "bottleneck.report.figures.plots.roc_plot",
    "plot_training": "bottleneck.report.figures.plots.training_plot",
    "read_predictions": "bottleneck.predictions.prediction_tables",
    "recalibrate": "bottleneck.deploy.recalibration",
    "roc_auc_difference": "bottleneck.statistics.roc.auroc_tests",
    "roc_auc_interval": "bottleneck.statistics.roc.auroc",
    "run_leak_experiment": "bottleneck.evaluation.leak_experiment.experiment",
    "start_app": "bottleneck.app.running_app",
    "to_html": "bottleneck.report.notebook",
    "wilson_interval": "bottleneck.statistics.accuracy.proportions",
    "write_card": "bottleneck.model_card.card_files",
    "write_explanation": "bottleneck.report.explanation_page",
    "write_report": "bottleneck.report.page",
}

if TYPE_CHECKING:  # Type checkers and editors read these imports in place of ``__getattr__``.
    from bottleneck.app.running_app import start_app
    from bottleneck.audit.audit import audit_features
    from bottleneck.backbones.backbone import Backbone, load_backbone
    from bottleneck.data.augmented_copies import Augmentation, augment
    from bottleneck.data.dataset import ImageDataset
    from bottleneck.data.images.preprocessing import Preprocessing
    from bottleneck.data.labels.selection import Selection
    from bottleneck.data.readers import load_dataset
    from bottleneck.data.readers.built_in_readers import Reader
    from bottleneck.data.readers.new_images.image_inputs import load_new_images
    from bottleneck.data.samples.sample_table import Sample
    from bottleneck.data.splits.protocol import Protocol
    from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
    from bottleneck.data.volumes.volume_region import VolumeRegion
    from bottleneck.deploy.fit import fit
    from bottleneck.deploy.model_loading import load_model
    from bottleneck.deploy.models.model import Model
    from bottleneck.deploy.prediction.model_predictions import ModelPredictions
    from bottleneck.deploy.recalibration import recalibrate
    from bottleneck.deploy.recalibration_result import Recalibration
    from bottleneck.errors import BottleneckError
    from bottleneck.evaluation.compare import compare, evaluate
    from bottleneck.evaluation.leak_experiment.experiment import run_leak_experiment
    from bottleneck.evaluation.measures import Measures
    from bottleneck.evaluation.metrics.own.own_metrics import on_probabilities, on_scores
    from bottleneck.evaluation.planning.pilot_plan import plan_from_pilot
    from bottleneck.evaluation.planning.study_plan import plan_study
    from bottleneck.evaluation.results.arm_results import Evaluation
    from bottleneck.evaluation.results.comparison_results import Comparison
    from bottleneck.explain.explained_predictions import explain_predictions
    from bottleneck.explain.explanation import Explanation
    from bottleneck.export.exporting import export_model
    from bottleneck.export.folder.model_export import ModelExport
    from bottleneck.features.estimator.frozen_backbone import FrozenBackbone
    from bottleneck.features.extraction import extract, extract_all
    from bottleneck.features.extraction_result import Extraction
    from bottleneck.features.file.reader import load_features
    from bottleneck.features.sets.feature_set import FeatureSet
    from bottleneck.heads.head import Head
    from bottleneck.model_card.card_files import write_card
    from bottleneck.model_card.checking.card_check import CardCheck, check_card
    from bottleneck.predictions import Predictions
    from bottleneck.predictions.prediction_tables import read_predictions
    from bottleneck.report.explanation_page import write_explanation
    from bottleneck.report.figures.plots.calibration_plot import plot_calibration
    from bottleneck.report.figures.plots.confusion_plot import plot_confusion
    from bottleneck.report.figures.plots.decision_plot import plot_decision_curve
    from bottleneck.report.figures.plots.embedding_plot import plot_embedding
    from bottleneck.report.figures.plots.free_response_plot import plot_free_response
    from bottleneck.report.figures.plots.interval_plot import plot_forest, plot_noninferiority
    from bottleneck.report.figures.plots.learning_plot import plot_learning_curve
    from bottleneck.report.figures.plots.roc_plot import plot_roc
    from bottleneck.report.figures.plots.training_plot import plot_training
    from bottleneck.report.notebook import to_html
    from bottleneck.report.page import write_report
    from bottleneck.statistics.accuracy.mcnemar import mcnemar_test
    from bottleneck.statistics.accuracy.proportions import wilson_interval
    from bottleneck.statistics.roc.auroc import roc_auc_interval
    from bottleneck.statistics.roc.auroc_tests import roc_auc_difference
else:

    def __getattr__(name):
        if name == "statistics":  # A package of public functions of its own.
            from importlib import import_module

            return import_module("bottleneck.statistics")
        if name not in _MODULES:
            raise AttributeError(
                f"module 'bottleneck' has no attribute '{name}'. This is bottleneck-features "
                f"{__version__}, for features of frozen networks; fast NaN functions are in the "
                "PyPI package Bottleneck, which cannot share an environment with it"
            )
        from importlib import import_module

        value = getattr(import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
