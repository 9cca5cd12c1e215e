"""How exports decide: as ``Model.predict``, and as their sentence says."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bottleneck
from bottleneck import FeatureSet, Model
from bottleneck.deploy.fit import fit
from bottleneck.evaluation.metrics.operating_points import OperatingThreshold
from bottleneck.evaluation.metrics.probabilities.sigmoids import Sigmoids
from bottleneck.export.classifier.classifier_building import build_classifier
from bottleneck.export.classifier.decision_rule import decision_words
from bottleneck.export.classifier.exported_classifier import ExportedClassifier
from bottleneck.export.exporting import export_model
from bottleneck.export.parity.full_precision import in_full_precision
from bottleneck.export.standalone.predict_pictures import decide
from bottleneck.export.standalone.program_files import classifier_facts
from bottleneck.testing import tiny_backbone


def pictures(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 180, (n, 4, 5, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((28, 20))) for one in drawn])


def fitted(head: str, n_classes: int = 2) -> Model:
    backbone = tiny_backbone()
    codes = np.arange(60) % n_classes
    images = pictures(60) + 20 * codes[:, None, None, None].astype(np.uint8)
    pixels = [backbone.preprocessing.pixels(Image.fromarray(one)) for one in images]
    X = backbone.embed(torch.from_numpy(np.stack(pixels))).numpy()
    labels = np.array(("benign", "malignant", "normal"))[codes]
    model = fit(FeatureSet.from_arrays(X, labels), head, quiet=True)
    recipe = backbone.recipe("fp32")
    return dataclasses.replace(model, recipe=recipe.to_dict(), recipe_hash=recipe.hash)


def decided(model: Model) -> tuple[ExportedClassifier, np.ndarray, np.ndarray]:
    """Return a model as a module, its probabilities of 40 pictures, and its decisions."""
    images = pictures(40, seed=1)
    classifier = build_classifier(model, backbone=tiny_backbone())
    probabilities, scores = classifier(torch.from_numpy(images))
    made = model.predict(list(images), backbone=tiny_backbone(), quiet=True).decided.decisions
    facts = classifier_facts(classifier, model)
    assert [decide(facts, row) for row in scores.numpy()] == made.tolist()
    return classifier, probabilities.numpy(), made


@pytest.mark.parametrize("has_threshold", [False, True])
@pytest.mark.parametrize("head", ["lda", "svm_2018"])
def test_the_sentence_names_the_probability_where_the_decision_changes(
    head: str, has_threshold: bool
) -> None:
    model = dataclasses.replace(fitted(head), sigmoids=Sigmoids((1.3,), (0.8,)))
    if has_threshold:
        made = model.predict(list(pictures(40, 1)), backbone=tiny_backbone(), quiet=True)
        middle = float(np.median(made.predictions.scores[:, 1]))
        point = OperatingThreshold("sensitivity", 0.9, middle, 0.9, 0.5)
        model = dataclasses.replace(model, operating_point=point)
    classifier, probabilities, decisions = decided(model)
    words = decision_words(classifier, model)
    assert "malignant" in words
    assert ("no threshold" in words) is not has_threshold
    (bound,) = re.findall(r"probability of (\d\.\d+)", words)
    is_above = probabilities[:, 1] > float(bound)
    np.testing.assert_array_equal(is_above, decisions == "malignant")
    assert 0 < is_above.sum() < len(is_above)


def test_of_three_classes_the_score_decides() -> None:
    model = fitted("lda", 3)
    model = dataclasses.replace(model, sigmoids=Sigmoids((1.0, 1.0, 1.0), (3.0, -3.0, 0.0)))
    classifier, probabilities, decisions = decided(model)
    words = decision_words(classifier, model)
    assert words.endswith("which need not be the one with the largest probability.")
    assert (np.array(model.classes)[probabilities.argmax(1)] != decisions).any()


@pytest.mark.parametrize("is_above", [False, True])
def test_a_threshold_that_is_a_score_or_the_next_number_decides_as_the_model(
    is_above: bool,
) -> None:
    threshold = float(np.nextafter(0.5, np.inf)) if is_above else 0.5
    point = OperatingThreshold("specificity", 0.9, threshold, 0.9, 0.5)
    model = dataclasses.replace(fitted("prior"), operating_point=point)
    _, _, decisions = decided(model)
    assert (decisions == "malignant").any() != is_above


@pytest.mark.shared
@pytest.mark.slow(reason="networks are exported, and transformers loads")
@pytest.mark.parametrize("target", ["onnx", "torch", "hub"])
def test_programs_decide_as_the_model_on_real_pictures(
    shared: Path, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    weights = str(shared / "weights" / "resnet18-imagenet.pth")
    crops = shared / "data" / "ddti-crops"
    dataset = bottleneck.load_dataset(crops / "labels.csv", columns={"path": "image"}, limit=60)
    run = bottleneck.extract(dataset, "resnet18", weights=weights, output=tmp_path, quiet=True)
    paths = [str(crops / one.source) for one in dataset.samples[::3]]
    plain = in_full_precision(bottleneck.fit(run.path, "logistic", quiet=True))
    assert isinstance(plain, Model)
    point = OperatingThreshold("sensitivity", 0.9, -0.5, 0.9, 0.5)
    models = [plain, dataclasses.replace(plain, operating_point=point)]
    models.append(dataclasses.replace(models[1], unit="patient"))
    for number, model in enumerate(models):
        folder = tmp_path / f"export{number}"
        export_model(model, target, output=folder, images=paths[:2], weights=weights, quiet=True)
        # Isolated, and blind to the package: what the README names must be enough.
        code = (
            "import sys, runpy; sys.modules['bottleneck'] = None; sys.path.insert(0, sys.argv[1]);"
            "program = sys.argv.pop(1) + '/predict.py'; sys.argv[0] = program;"
            "runpy.run_path(program, run_name='__main__')"
        )
        command = [sys.executable, "-I", "-c", code, str(folder), *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr
        rows = [line.split("\t") for line in done.stdout.splitlines()[1:]]
        made = model.predict(paths, weights=weights, features=tmp_path, quiet=True)
        assert [row[-1] for row in rows] == made.decided.decisions.tolist()
        shown = np.array([row[1:-1] for row in rows], dtype=float)
        np.testing.assert_allclose(shown, made.predictions.probabilities, atol=1e-4)
        sentence = decision_words(build_classifier(model, weights=weights), model)
        assert sentence in done.stderr
        assert sentence in (folder / "README.md").read_text()
