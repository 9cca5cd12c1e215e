"""Estimators of users in ONNX graphs give scikit-learn's scores, or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
)
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler
from sklearn.svm import SVC
from test_exported_classifier import fitted, pictures
from torch import Tensor, nn

from bottleneck.errors import UsageError
from bottleneck.export.exporting import export_model
from bottleneck.export.onnx_graph.converted_head import (
    ConvertedHead,
    convert_head,
)
from bottleneck.export.onnx_graph.graph_writing import write_graph
from bottleneck.testing import tiny_backbone

TWO, THREE = ("benign", "malignant"), ("a", "b", "c")


def _samples(classes: tuple[str, ...], n: int = 90) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y = np.resize(classes, n)
    X = rng.normal(size=(n, 3)) * 20 + 120 + 8 * np.resize(np.arange(len(classes)), n)[:, None]
    return X, y


class _OfMeans(nn.Module):
    """A head on the mean of each channel."""

    def __init__(self, head: ConvertedHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.head(pixels.double().mean((1, 2)))
        return scores.softmax(1).float(), scores.float()


@pytest.mark.slow
@pytest.mark.parametrize("classes", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize(
    "estimator",
    [
        GaussianNB(),
        ExtraTreesClassifier(5, random_state=0),
        make_pipeline(StandardScaler(), PowerTransformer(), LogisticRegression()),
        AdaBoostClassifier(n_estimators=5),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_file_gives_the_probabilities_of_scikit_learn(
    estimator: Any, classes: tuple[str, ...], tmp_path: Path
) -> None:
    X, y = _samples(classes)
    estimator.fit(X, y)
    head = convert_head(estimator, "probability", classes, X)
    write_graph(_OfMeans(head).eval(), tmp_path / "model.onnx", {})
    pixels = np.random.default_rng(1).integers(0, 256, (7, 9, 12, 3), np.uint8)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (scores,) = session.run(["scores"], {"pixels": pixels})
    wanted = estimator.predict_proba(pixels.mean((1, 2), dtype=np.float64))
    np.testing.assert_allclose(scores, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        # skl2onnx leaves the scaler out.
        (CalibratedClassifierCV(make_pipeline(StandardScaler(), SVC())), "scores differ by"),
        (make_pipeline(Nystroem(n_components=5), LogisticRegression()), "Nystroem"),
        (HistGradientBoostingClassifier(max_iter=2), "TreeEnsembleClassifier"),
    ],
    ids=["calibrated", "unknown step", "unknown classifier"],
)
def test_what_skl2onnx_gets_wrong_is_refused(estimator: Any, reason: str) -> None:
    X, y = _samples(TWO)
    with pytest.raises(UsageError, match=f"cannot be converted by skl2onnx .*{reason}"):
        convert_head(estimator.fit(X, y), "probability", TWO, X)


def test_a_conversion_needs_features_to_check_it_on() -> None:
    X, y = _samples(TWO)
    with pytest.raises(UsageError, match="no training features on which to check"):
        convert_head(GaussianNB().fit(X, y), "probability", TWO, X[:0])


def test_a_converted_head_computes_in_onnx_alone() -> None:
    X, y = _samples(TWO)
    head = convert_head(GaussianNB().fit(X, y), "probability", TWO, X)
    with pytest.raises(UsageError, match="--to onnx"):
        head(torch.from_numpy(X))


@pytest.mark.slow
def test_a_model_of_an_own_estimator_is_predicted_as_by_the_package(tmp_path: Path) -> None:
    backbone = tiny_backbone()
    model = fitted(GaussianNB())
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, image in zip(paths, pictures(len(paths), seed=5), strict=True):
        Image.fromarray(image).save(path)
    given = {"images": paths, "backbone": backbone, "quiet": True}
    made = export_model(model, "onnx", output=tmp_path / "export", **given)
    assert made.parity.largest < 1e-5
    with pytest.raises(UsageError, match="GaussianNB"):
        export_model(model, "torch", output=tmp_path / "torch", **given)
