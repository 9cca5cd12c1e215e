"""Checks of heat maps: similarity, random weights, permuted labels, and what they say."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.explain.checks.map_checks import MapChecks, SimilarityCheck
from bottleneck.explain.checks.map_similarity import map_similarity
from bottleneck.explain.checks.random_weights import (
    permute_labels,
    randomise,
    with_random_weights,
)
from bottleneck.explain.checks.randomisation import TrainingRows, check_maps
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.maps.gradients.explained_network import ExplainedNetwork, NetworkMember
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.testing import tiny_backbone

CLASSES = ("benign", "malignant")
HALF = (0.5, 0.5, 0.5)
OTHER = HeatMap(np.eye(2, dtype=np.float32), "benign", "occlusion", 1.0)


@pytest.mark.parametrize("shape", [(7, 7), (8, 9), (14, 14), (4, 4), (3, 12)])
def test_similarities_are_those_of_scipy_and_scikit_image(shape):
    ssim = pytest.importorskip("skimage.metrics", reason="needs the extra denoise")
    rng = np.random.default_rng(0)
    a = rng.normal(size=shape).round(1)
    b = a + rng.normal(size=shape).round(1)
    x, y = a / np.abs(a).max(), b / np.abs(b).max()
    side = min(7, *shape)
    window = side if side % 2 else side - 1
    np.testing.assert_allclose(
        map_similarity(a, b),
        [
            spearmanr(a.ravel(), b.ravel()).statistic,
            spearmanr(np.abs(a).ravel(), np.abs(b).ravel()).statistic,
            ssim.structural_similarity(x, y, win_size=window, data_range=2),
        ],
    )
    np.testing.assert_allclose(map_similarity(a, a), 1)
    np.testing.assert_allclose(map_similarity(a, 3 * a), 1)


def test_a_constant_map_has_no_similarity():
    assert np.isnan(map_similarity(np.ones((7, 7)), np.eye(7))).all()
    assert np.isnan(map_similarity(np.eye(2), np.eye(2))[2])
    with pytest.raises(UsageError, match=r"shapes \(7, 7\) and \(2, 2\) cannot be compared"):
        map_similarity(np.eye(7), np.eye(2))


class Mixed(nn.Module):
    """A network with every kind of parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3)
        )
        self.table = nn.Parameter(torch.arange(8.0).view(1, 8, 1, 1))
        self.norm = nn.GroupNorm(2, 8)
        self.register_buffer("mask", torch.ones(1))

    def forward(self, x):
        return self.norm(self.body(x)) + self.table


def test_random_weights_have_the_variance_of_he_and_follow_from_the_seed():
    torch.manual_seed(0)
    network = Mixed()
    network.body[1].running_var.fill_(5)
    states = []
    for seed in (1, 1, 2):
        made = copy.deepcopy(network)
        randomise(made, seed)
        states.append(made.state_dict())
    first, same, other = states
    assert all(torch.equal(first[k], same[k]) for k in first)
    assert not torch.equal(first["body.0.weight"], other["body.0.weight"])
    assert first["body.3.weight"].std() == pytest.approx((2 / (16 * 9)) ** 0.5, rel=0.1)
    assert not first["body.0.bias"].any()
    assert (first["body.1.running_var"] == 1).all()
    assert (first["norm.weight"] == 1).all()
    assert first["table"].flatten().sort().values.tolist() == list(range(8))
    assert first["mask"].tolist() == [1]


def make_head(network=None, estimator=None, n=40, seed=0):
    """Images with a bright square somewhere, which is larger in one class."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (n, 32, 32, 3), dtype=np.uint8)
    labels = np.array(CLASSES)[np.arange(n) // 2 % 2]
    for k in range(n):
        side = 6 + 6 * (labels[k] == "malignant")
        top, left = rng.integers(0, 32 - side, 2)
        pixels[k, top : top + side, left : left + side] += 150
    if network is None:
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Conv2d(3, 16, 5, stride=4), nn.ReLU())
    preprocessing = Preprocessing(32, 32, "bilinear", HALF, HALF)
    backbone = Backbone.from_module(network, preprocessing)
    X = np.concatenate([backbone.embed(torch.from_numpy(p[None])).numpy() for p in pixels])
    estimator = estimator or make_pipeline(StandardScaler(), LogisticRegression())
    head = ExplainedHead(backbone, estimator.fit(X.astype(float), labels), CLASSES)
    return head, pixels, TrainingRows(X, labels, np.arange(n) // 2, pixels)


def test_a_head_that_is_kept_gets_features_like_those_it_was_fitted_to():
    head, pixels, _ = make_head(estimator=make_pipeline(StandardScaler(), SVC(C=10)))
    made = with_random_weights(head, 3, pixels)
    (_, scaler), *_ = made.estimator.steps
    moved = scaler.transform(made.features(pixels))
    own = head.features(pixels)
    alive = (own.std(0) > 0) & (made.features(pixels).std(0) > 0)
    np.testing.assert_allclose(moved.mean(0), own.mean(0), atol=1e-4)
    np.testing.assert_allclose(moved.std(0)[alive], own.std(0)[alive], rtol=1e-4)
    # An RBF kernel far from its support vectors would give every image the same value.
    assert np.ptp(made.decisions(pixels)[:, 1]) > 0.1
    assert not np.allclose(made.features(pixels), own)


@pytest.mark.slow
def test_all_checks_of_a_head():
    head, pixels, training = make_head()
    done = []
    few = dataclasses.replace(training, pixels=None)
    options = {"groups": training.groups, "training": few, "n_draws": 3}
    checks = check_maps(head, pixels, "malignant", **options, progress=lambda *a: done.append(a))
    assert done[-1][:2] == (7, 7)
    assert checks.method == "class activation"
    assert checks.random_weights.values.shape == (40, 3, 3)
    assert checks.random_weights.interval().n_groups == 20
    again = check_maps(head, pixels, "malignant", **options)
    np.testing.assert_array_equal(again.random_weights.values, checks.random_weights.values)
    np.testing.assert_array_equal(again.permuted_labels.values, checks.permuted_labels.values)
    fitted = check_maps(head, pixels, "malignant", training=training, n_draws=2)
    assert "fitted again" in fitted.random_weights.how
    assert len(checks.to_frame()) == 9
    assert len(checks.words) == 3
    assert not any("nan" in sentence for sentence in checks.words)


class Brightness(nn.Module):
    """A network that shows the brightness of the image, whatever its weights are."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(1, 2, 4))

    def forward(self, x):
        grey = nn.functional.avg_pool2d(x.mean(1, keepdim=True), 4) + 1
        return grey * self.scale.view(1, -1, 1, 1)


def test_maps_that_show_the_image_fail():
    head, pixels, training = make_head(Brightness())
    checks = check_maps(head, pixels, "malignant", training=training, n_draws=3)
    assert checks.random_weights.interval("spearman").value == pytest.approx(1, abs=0.01)
    assert checks.verdict == "failed"
    assert checks.random_weights.interval("spearman").low > 0.99
    assert "are not evidence of it" in checks.words[0]
    assert "failed" in repr(checks)


def check_of(values, patients=None, name="random weights") -> SimilarityCheck:
    values = np.asarray(values, float)
    return SimilarityCheck(
        name, values, np.arange(len(values)) if patients is None else patients, "How."
    )


def test_the_interval_counts_patients_and_draws():
    rng = np.random.default_rng(0)
    image, draw = rng.normal(0, 0.1, (60, 1)), rng.normal(0, 0.1, (1, 8))
    values = np.repeat((0.2 + image + draw)[:, :, None], 3, axis=2)
    one = check_of(values).interval()
    expected = values[:, :, 0].mean(1).var(ddof=1) / 60 + values[:, :, 0].mean(0).var(ddof=1) / 8
    assert one.standard_error == pytest.approx(expected**0.5)
    # Twice the same images of the same patients add nothing.
    twice = check_of(np.concatenate([values, values]), np.tile(np.arange(60), 2)).interval()
    assert twice.standard_error == pytest.approx(one.standard_error)


def test_the_interval_covers():
    """Over patients and draws of new models, 95 % of intervals contain the true mean."""
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(200):
        image, draw = rng.normal(0, 0.2, (20, 1)), rng.normal(0, 0.15, (1, 5))
        values = 0.1 + image + draw + rng.normal(0, 0.1, (20, 5))
        made = check_of(np.repeat(values[:, :, None], 3, axis=2)).interval()
        hits.append(made.low < 0.1 < made.high)
    assert np.mean(hits) > 0.92


def test_verdicts():
    rng = np.random.default_rng(2)

    def around(signed, absolute, n=30, spread=0.02):
        values = rng.normal([signed, absolute, 0.5], spread, (n, 5, 3))
        return check_of(values).verdict

    assert around(0.0, 0.1) == "passed"
    assert around(0.0, 0.8) == "failed"
    assert around(0.8, 0.0) == "failed"
    assert around(0.0, 0.3) == "not decided"
    assert around(0.0, 0.9, n=9) == "not decided"
    assert check_of(np.full((20, 5, 3), np.nan)).verdict == "not decided"


def test_checks_of_several_folds_are_joined_by_patient():
    head, pixels, training = make_head()
    rows = [slice(0, 20), slice(20, 40)]
    each = [
        check_maps(head, pixels[r], "malignant", groups=training.groups[r], n_draws=2)
        for r in (*rows, rows[0])
    ]
    joined = MapChecks.join(each)
    assert joined.random_weights.interval().n == 60
    assert joined.random_weights.interval().n_groups == 20
    assert joined.permuted_labels is None
    assert "needs the training rows" in joined.words[-1]
    with pytest.raises(UsageError, match="no checks to join"):
        MapChecks.join([])


def test_a_patient_keeps_one_label():
    labels = np.array(["a"] * 9 + ["b"] * 3)
    groups = np.repeat(np.arange(6), 2)
    seen = set()
    for seed in range(20):
        made = permute_labels(labels, groups, np.random.default_rng(seed))
        assert all(len(set(made[groups == g])) == 1 for g in groups)
        # Four patients of a; the fifth has one image of each class and counts as the first.
        assert (made == "a").sum() == 10
        seen.add(tuple(made))
    assert len(seen) > 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_draws": 1}, "n_draws must be at least 2"),
        ({"method": "lime"}, "lime"),
        ({"towards": "cyst"}, "cyst"),
        ({"groups": [1, 2]}, "groups"),
        ({"maps": []}, "0 maps for 40 images"),
        ({"maps": [OTHER] * 40}, "cannot be compared"),
    ],
)
def test_wrong_uses(options, message):
    head, pixels, _ = make_head()
    with pytest.raises(UsageError, match=message):
        check_maps(head, pixels, **{"towards": "malignant", "n_draws": 2, **options})


def test_other_decisions_have_no_weights():
    head, pixels, _ = make_head()

    class Other:
        classes, preprocessing, decisions = CLASSES, head.preprocessing, head.decisions

    with pytest.raises(UsageError, match="Other has no weights that could be made random"):
        with_random_weights(Other(), 0, pixels)


def test_every_network_of_a_training_has_other_random_weights_in_every_draw():
    members = [NetworkMember(tiny_backbone(), nn.Linear(8, 2), "tiny") for _ in range(3)]
    trained = ExplainedNetwork(tuple(members), CLASSES, "mean", "")
    pixels = np.zeros((1, 16, 16, 3), np.uint8)
    drawn = [one for draw in range(3) for one in with_random_weights(trained, draw, pixels).members]
    weights = {tuple(one.backbone.network[0].weight.flatten().tolist()) for one in drawn}
    heads = {tuple(one.head.weight.flatten().tolist()) for one in drawn}
    assert len(weights) == len(heads) == 9
    assert all(one.head.bias.tolist() == [0, 0] for one in drawn)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "vgg16", "swin_tiny", "densenet121", "inception_v3"])
def test_random_networks_still_see_the_image(name):
    """Features differ between images and are finite: the weights neither vanish nor explode."""
    backbone = load_backbone(name, weights="random")
    side = backbone.preprocessing.crop
    pixels = np.random.default_rng(0).integers(0, 256, (4, side, side, 3), dtype=np.uint8)
    pixels[1:3] //= np.array([2, 4], np.uint8).reshape(2, 1, 1, 1)
    X = backbone.embed(torch.from_numpy(pixels)).numpy()
    head = ExplainedHead(backbone, LogisticRegression().fit(X, ["a", "b", "a", "b"]), ("a", "b"))
    made = with_random_weights(head, 0, pixels).features(pixels)
    assert np.isfinite(made).all()
    assert (made.std(0) > 1e-3 * np.abs(made).mean()).mean() > 0.5
