"""Findings on weights that were trained on the data set itself."""

import dataclasses

import numpy as np
import pytest

from bottleneck import FeatureSet
from bottleneck.audit.audit import audit_features
from bottleneck.audit.pretraining_data import describe_pretraining


def features_of(dataset, reader, backbone, weights):
    X = np.random.default_rng(0).normal(size=(8, 3))
    made = FeatureSet.from_arrays(X, [0, 1] * 4, groups=list("aabbccdd"))
    provenance = {
        **made.provenance,
        "recipe": {**made.provenance["recipe"], "backbone": backbone, "weights": weights},
        "dataset": {**made.provenance["dataset"], "name": dataset, "reader": {"name": reader}},
    }
    return dataclasses.replace(made, provenance=provenance)


@pytest.mark.parametrize(
    ("dataset", "reader", "backbone", "weights", "names"),
    [
        ("mine", "LUNA16", "swin_unetr", "ssl", "LUNA16 and LIDC-IDRI"),
        ("mine", "LUNA16", "swin_unetr", "btcv", "LUNA16 and LIDC-IDRI"),
        ("LIDC-IDRI nodules", "table", "swin_unetr", "ssl", "LUNA16 and LIDC-IDRI"),
        ("nodulemnist3d_64", "MedMNIST", "ct_fm", "ct_fm", "NCI Imaging Data Commons"),
    ],
)
def test_weights_that_know_the_images(dataset, reader, backbone, weights, names):
    features = features_of(dataset, reader, backbone, weights)
    (finding,) = describe_pretraining(features)
    assert finding.severity == "warning"
    assert f"weights {weights} of {backbone} were trained on {names}, which" in finding.text
    assert finding in audit_features(features).findings


def test_a_file_of_another_name_may_be_the_published_one():
    (finding,) = describe_pretraining(features_of("x", "LUNA16", "swin_unetr", "model_swinvit"))
    assert "If the weights model_swinvit are these, their features can" in finding.text


def test_what_was_taken_of_an_archive_is_not_claimed():
    (finding,) = describe_pretraining(features_of("x", "LUNA16", "ct_fm", "ct_fm"))
    assert (
        "which also holds these images; it was not checked whether these were used. If they were"
        in (finding.text)
    )
    (finding,) = describe_pretraining(features_of("x", "LUNA16", "ct_fm", "mine"))
    assert "If the weights mine are these and they were, their features can" in finding.text


@pytest.mark.parametrize(
    ("dataset", "reader", "backbone", "weights"),
    [
        ("mine", "LUNA16", "swin_unetr", "random"),
        ("mine", "LUNA16", "swin_unetr_brats", "brats"),
        ("mine", "LUNA16", "medicalnet_resnet18", "medicalnet"),
        ("mine", "LUNA16", "resnet18", "imagenet"),
        ("liver", "table", "swin_unetr", "ssl"),
    ],
)
def test_weights_that_do_not(dataset, reader, backbone, weights):
    assert describe_pretraining(features_of(dataset, reader, backbone, weights)) == []
