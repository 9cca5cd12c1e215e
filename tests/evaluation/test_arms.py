"""Names of arms, and features that cannot be compared."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import VGG, changed, make_features

from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.cross_validation.arms import match_rows

QUICK = Protocol(n_splits=3, inner_splits=2)
f = make_features()

HASHES = np.array([f"{i:064d}" for i in range(80)])


def other(**changes):
    return dataclasses.replace(make_features(seed=1, recipe=VGG), **changes)


def test_arms_of_one_backbone_are_named_by_their_differences():
    sets = [
        make_features(),
        make_features(seed=1, recipe={"pooling": "max"}),
        make_features(seed=2, recipe={"layer": "layer3"}),
        make_features(seed=3, recipe={"layer": "layer3", "weights_digest": "1" * 64}),
        make_features(seed=4, recipe=VGG | {"precision": "bf16", "decoding": "1-fast"}),
        make_features(seed=5, recipe=VGG | {"precision": "bf16", "decoding": "1-device"}),
        make_features(seed=6, recipe=VGG | {"decoding": "1"}),
    ]
    names = [e.name for e in compare(sets, ["logistic"], protocol=QUICK).evaluations]
    assert names == [
        "resnet18 (imagenet, avg) + logistic",
        "resnet18 (imagenet, max) + logistic",
        f"resnet18 (imagenet, layer3, avg, {sets[2].recipe_hash[:8]}) + logistic",
        f"resnet18 (imagenet, layer3, avg, {sets[3].recipe_hash[:8]}) + logistic",
        "vgg16 (imagenet, bf16, decoding 1-fast) + logistic",
        "vgg16 (imagenet, bf16, decoding 1-device) + logistic",
        "vgg16 (imagenet, fp32) + logistic",
        "prior only",
    ]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (f, make_features(seed=1), "have the same recipe, so they would be one arm twice"),
        (f, make_features(recipe=VGG, n_patients=30), r"80 and 60, 60 of them in both\): extract"),
        (f, other(ids=changed(f.ids, [2, 3], ["u", "v"])), "80 and 80, 78 of them in both"),
        (f, other(y=changed(f.y, [0, 1, 2], "malignant")), "the labels of 2 of 80 samples"),
        (
            f,
            other(stated_patients=changed(f.groups, [5], "jane")),
            "the patients of 1 of 80 samples",
        ),
        (f, other(stated_patients=None), "only one of them has patients"),
        (f, other(splits=np.full(80, "train")), "only one of them has splits"),
        (
            dataclasses.replace(f, sha256=HASHES),
            other(sha256=changed(HASHES, [7], "0" * 64)),
            "the image bytes of 1 of 80 samples: extract both again",
        ),
        (
            f,
            make_features(seed=1, recipe=VGG, dataset={"name": "ddti"}),
            "different data sets, 'phantom' and 'ddti'",
        ),
        (
            f,
            make_features(seed=1, recipe=VGG, dataset={"fingerprint": "e" * 64}),
            "different versions of the data set: extract both again",
        ),
    ],
)
def test_features_of_other_samples_are_refused(first, second, message):
    with pytest.raises(ProtocolError, match=message) as caught:
        compare([first, second], ["logistic"])
    assert "jane" not in str(caught.value)


def test_a_renamed_data_set_is_the_same_by_its_images():
    first = dataclasses.replace(f, sha256=HASHES)
    order = np.random.default_rng(0).permutation(80)
    renamed = {"name": "copy", "fingerprint": "e" * 64}
    second = dataclasses.replace(
        make_features(seed=1, recipe=VGG, dataset=renamed), sha256=HASHES
    ).take(order)
    assert order[match_rows(first, second)].tolist() == list(range(80))
    boxes = np.tile(np.int32([0, 0, 5, 5]), (80, 1))
    boxed = dataclasses.replace(first, regions=boxes)
    for row, image, words in ((3, "7" * 64, "different data sets"), (3, None, "labels of 1 of 80")):
        changes = {"y": changed(second.y, [row], "cyst")} if image is None else {}
        changes |= {"sha256": changed(second.sha256, [row], image)} if image else {}
        with pytest.raises(ProtocolError, match=words):
            match_rows(first, dataclasses.replace(second, **changes))
    moved = dataclasses.replace(second, regions=changed(boxes, [0], 1))
    with pytest.raises(ProtocolError, match="regions of the images of 1 of 80"):
        match_rows(boxed, moved)


def test_features_of_two_data_sets_are_no_two_arms():
    other_hospital = make_features(seed=1, dataset={"name": "ddti"})
    with pytest.raises(ProtocolError, match="bottleneck concatenate"):
        compare([f, other_hospital], ["logistic"])
