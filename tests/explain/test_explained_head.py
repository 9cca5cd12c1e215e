from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from bottleneck.errors import UsageError
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.testing import tiny_backbone

BACKBONE = tiny_backbone(width=6)


def made(n_classes: int, n: int = 40) -> tuple[Any, Any, Any]:
    """Return images, their features and labels, which the features tell apart in part."""
    rng = np.random.default_rng(n_classes)
    y = rng.integers(0, n_classes, n)
    level = 40 + 150 * y / n_classes
    pixels = rng.normal(level[:, None, None, None], 60, (n, 16, 16, 3)).clip(0, 255)
    pixels = pixels.astype(np.uint8)
    X = BACKBONE.embed(torch.from_numpy(pixels)).numpy()
    return pixels, X, np.array(["clear", "benign", "malignant", "absent"])[y]


@pytest.mark.parametrize("n_classes", [2, 3, 4])
@pytest.mark.parametrize(
    "classifier",
    [LogisticRegression(), LinearSVC(), SVC(), SVC(kernel="linear")],
    ids=lambda one: type(one).__name__,
)
def test_decisions_are_those_of_the_estimator_in_any_order_of_the_classes(
    classifier: Any, n_classes: int
) -> None:
    pixels, X, y = made(n_classes)
    estimator = make_pipeline(StandardScaler(), classifier).fit(X, y)
    scores = estimator.decision_function(X.astype(float))
    expected = np.column_stack([-scores, scores]) if n_classes == 2 else scores
    for order in (range(n_classes), range(n_classes)[::-1], np.roll(range(n_classes), 1)):
        classes = tuple(estimator.classes_[list(order)].tolist())
        got = ExplainedHead(BACKBONE, estimator, classes).decisions(pixels)
        np.testing.assert_allclose(got, expected[:, list(order)], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("classifier", [MLPClassifier(max_iter=5), GaussianNB()])
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_head_without_a_decision_function_has_log_odds(classifier: Any) -> None:
    pixels, X, y = made(3)
    estimator = classifier.fit(X.astype(float), y)
    classes = tuple(estimator.classes_.tolist())
    got = ExplainedHead(BACKBONE, estimator, classes).decisions(pixels)
    p = estimator.predict_proba(X.astype(float)).clip(1e-6, 1 - 1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-got)), p, rtol=1e-9)


def test_a_probability_of_zero_is_a_finite_decision() -> None:
    pixels, X, y = made(2)
    forest = RandomForestClassifier(5, random_state=0).fit(X, y)
    got = ExplainedHead(BACKBONE, forest, tuple(forest.classes_.tolist())).decisions(pixels)
    known = forest.predict_proba(X)
    assert (known == 0).any()
    between = (known > 0) & (known < 1)
    np.testing.assert_allclose(1 / (1 + np.exp(-got[between])), known[between])
    assert got[known == 0] == pytest.approx(-np.log(1e6 - 1))
    np.testing.assert_allclose(got[:, 0], -got[:, 1], atol=1e-9)


def test_labels_may_be_codes() -> None:
    pixels, X, y = made(2)
    codes = (y == "clear").astype(int)
    by_code, by_name = LinearSVC().fit(X, codes), LinearSVC().fit(X, y)
    names = tuple(by_name.classes_.tolist())
    np.testing.assert_allclose(
        ExplainedHead(BACKBONE, by_code, names).decisions(pixels),
        ExplainedHead(BACKBONE, by_name, names).decisions(pixels),
    )


def test_no_image_has_no_decision_and_a_batch_may_be_of_any_size() -> None:
    pixels, X, y = made(2, n=70)
    estimator = LogisticRegression().fit(X, y)
    head = ExplainedHead(BACKBONE, estimator, tuple(estimator.classes_.tolist()))
    assert head.decisions(pixels[:0]).shape == (0, 2)
    reversed_channels = np.ascontiguousarray(pixels[:, :, :, ::-1])[:, :, :, ::-1]
    np.testing.assert_allclose(head.decisions(reversed_channels), head.decisions(pixels))
    each = [head.decisions(pixels[n : n + 1])[0] for n in range(3)]
    np.testing.assert_allclose(each, head.decisions(pixels)[:3], atol=1e-6)


@pytest.mark.parametrize(
    ("pixels", "got"),
    [
        (np.zeros((1, 20, 20, 3), np.uint8), r"\(1, 20, 20, 3\)"),
        (np.zeros((16, 16, 3), np.uint8), r"\(16, 16, 3\)"),
        (np.zeros((1, 16, 16, 3), np.int64), "int64"),
    ],
)
def test_pixels_of_another_form_are_refused(pixels: Any, got: str) -> None:
    estimator = LogisticRegression().fit(np.eye(6), ["a", "b"] * 3)
    with pytest.raises(UsageError, match=got):
        ExplainedHead(BACKBONE, estimator, ("a", "b")).decisions(pixels)


def test_a_head_of_other_features_or_classes_is_refused() -> None:
    estimator = LogisticRegression().fit(np.eye(12), ["a", "b"] * 6)
    with pytest.raises(UsageError, match="fitted to 12 features, and the network tiny gives 6"):
        ExplainedHead(BACKBONE, estimator, ("a", "b"))
    with pytest.raises(UsageError, match="its classes are a, b"):
        ExplainedHead(tiny_backbone(width=12), estimator, ("a", "c"))
    with pytest.raises(UsageError, match="is not fitted"):
        ExplainedHead(BACKBONE, LinearSVC(), ("a", "b"))
    with pytest.raises(UsageError, match="a network is needed"):
        ExplainedHead("resnet18", estimator, ("a", "b"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a tuple of labels, not 'ab'"):
        ExplainedHead(tiny_backbone(width=12), estimator, "ab")  # type: ignore[arg-type]
    pairs = SVC(decision_function_shape="ovo").fit(np.eye(6), ["a", "b", "c"] * 2)
    with pytest.raises(UsageError, match="one score per pair"):
        ExplainedHead(BACKBONE, pairs, ("a", "b", "c"))
