"""The method of heat maps: the exact one where it exists, and the reason where it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from bottleneck.errors import UsageError
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.maps.map_methods import choose_map_method, make_maps
from bottleneck.testing import tiny_backbone

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)


def explained(classifier: Any, pooling: str = "avg") -> ExplainedHead:
    backbone = tiny_backbone(pooling=pooling)
    X = np.random.default_rng(0).normal(size=(20, backbone.width))
    return ExplainedHead(backbone, classifier.fit(X, ["a", "b"] * 10), ("a", "b"))


@pytest.mark.parametrize(
    ("classifier", "pooling", "name", "made", "words"),
    [
        (LogisticRegression(), "avg", "exact", "class activation", "which are exact"),
        (LogisticRegression(), "max", "grad-cam", "grad-cam", "no exact map: the pooling 'max'"),
        (SVC(), "avg", "grad-cam", "grad-cam", "no exact map: SVC has the kernel 'rbf'"),
        (KNeighborsClassifier(), "avg", "occlusion", "occlusion", "no gradient of KNeighborsC"),
        (RandomForestClassifier(2), "gem", "occlusion", "occlusion", "no exact map: the pooling"),
    ],
)
def test_the_best_method_is_chosen_with_its_reason(
    classifier: Any, pooling: str, name: str, made: str, words: str
) -> None:
    head = explained(classifier, pooling)
    choice = choose_map_method(head)
    assert choice.name == name
    assert words in choice.words
    assert {one.method for one in make_maps(head, PIXELS, "a")} == {made}


def test_without_the_library_occlusion_is_chosen_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bottleneck.explain.maps.gradients.grad_cam.find_spec", lambda _: None)
    choice = choose_map_method(explained(SVC()))
    assert choice.name == "occlusion"
    assert "pip install 'bottleneck-features[explain]'" in choice.words


def test_a_decision_of_ones_own_has_occlusion_only() -> None:
    class Own:
        classes = ("a", "b")
        preprocessing = tiny_backbone().preprocessing

        def decisions(self, pixels: Any) -> Any:
            return np.stack([pixels.mean(axis=(1, 2, 3)), -pixels.mean(axis=(1, 2, 3))], axis=1)

    choice = choose_map_method(Own())
    assert choice.name == "occlusion"
    assert "Own is neither ExplainedHead nor ExplainedNetwork" in choice.words
    assert len(make_maps(Own(), PIXELS, "a")) == 2
    for method in ("exact", "grad-cam"):
        with pytest.raises(UsageError, match="Own is neither ExplainedHead"):
            make_maps(Own(), PIXELS, "a", method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "gradcam"}, "unknown method of heat maps 'gradcam'; did you mean 'grad-cam'"),
        ({"method": None}, "unknown method of heat maps 'None'"),
        ({"method": "exact"}, r"exact map needs.*kernel 'rbf'.*Use --maps occlusion"),
        ({"towards": "c"}, "unknown class 'c'"),
        ({"towards": ["a"]}, "for each of 2 images, but got 1"),
        ({"pixels": PIXELS[0]}, r"takes preprocessed images of shape \(n, 16, 16, 3\)"),
        ({"pixels": PIXELS[:, :8]}, r"got the shape \(2, 8, 16, 3\)"),
        ({"pixels": PIXELS.astype(int)}, "type int64"),
        ({"pixels": PIXELS[:, :8], "method": "occlusion"}, r"got the shape \(2, 8, 16, 3\)"),
        ({"pixels": 5, "method": "occlusion"}, "uint8, but got 5"),
        ({"pixels": [PIXELS[0]]}, r"uint8, but got .*: make them"),
        ({"pixels": None}, "uint8, but got None"),
    ],
)
def test_wrong_uses_are_refused(options: dict[str, Any], message: str) -> None:
    given = {"pixels": PIXELS, "towards": "a", "method": "auto", **options}
    with pytest.raises(UsageError, match=message):
        make_maps(explained(SVC()), **given)
