"""Frozen networks, classical classifiers, and an honest comparison of them on medical images."""

# pandas and xarray import any module called "bottleneck" as an optional accelerator. The
# version comes first because they read it while this package may still be loading, and it stays
# below pandas's minimum (1.5), so that pandas leaves us alone: docs/decisions/0001-the-name.md.
__version__ = "0.1.0"

import warnings
from typing import Any

warnings.filterwarnings("ignore", message=r"Pandas requires version '.*' or newer of 'bottleneck'")

# Name to module, so that importing this package loads neither torch nor pandas.
_HOMES = {
    "Augmentation": "bottleneck.data.augmented_copies",
    "BottleneckError": "bottleneck.errors",
    "Comparison": "bottleneck.evaluation.results",
    "Evaluation": "bottleneck.evaluation.results",
    "Extraction": "bottleneck.features.extraction",
    "FeatureSet": "bottleneck.features.file.feature_set",
    "ImageDataset": "bottleneck.data.dataset",
    "Measures": "bottleneck.evaluation.evaluate_arm",
    "Model": "bottleneck.heads.persistence",
    "Predictions": "bottleneck.predictions",
    "Protocol": "bottleneck.data.splits.folds",
    "audit": "bottleneck.audit.audit",
    "augment": "bottleneck.data.augmented_copies",
    "compare": "bottleneck.evaluation.compare",
    "delong_test": "bottleneck.statistics.auroc_tests",
    "evaluate": "bottleneck.evaluation.compare",
    "extract": "bottleneck.features.extraction",
    "extract_all": "bottleneck.features.extraction",
    "fit": "bottleneck.heads.fit",
    "load_backbone": "bottleneck.backbones.backbone",
    "load_dataset": "bottleneck.data.readers",
    "load_features": "bottleneck.features.file.reader",
    "load_model": "bottleneck.heads.persistence",
    "mcnemar_test": "bottleneck.statistics.mcnemar",
    "read_predictions": "bottleneck.predictions",
    "roc_auc_interval": "bottleneck.statistics.auroc",
    "run_leak_experiment": "bottleneck.evaluation.leak_experiment.experiment",
    "wilson_interval": "bottleneck.statistics.proportions",
    "write_report": "bottleneck.report.page",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(
            f"module 'bottleneck' has no attribute '{name}'. This is bottleneck-features "
            f"{__version__}, for features of frozen networks; fast NaN functions are in the "
            "PyPI package Bottleneck, which cannot share an environment with it"
        )
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
