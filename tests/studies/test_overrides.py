"""Changes of a study, and their descriptions."""

from __future__ import annotations

import pytest

from bottleneck.errors import UsageError
from bottleneck.studies.overrides import Overrides, apply_overrides
from bottleneck.studies.study import load_study


def test_nothing_is_cut_unless_asked_for():
    for name in ("sai-sundar", "radimagenet-thyroid", "thyronet-x4"):
        study = load_study(name)
        same, said = apply_overrides(study, Overrides())
        assert said == ()
        assert same == study


def test_every_reduction_is_reported():
    study, said = apply_overrides(
        load_study("sai-sundar"), Overrides(weights={"": "random"}, folds=2, epochs=3, seeds=2)
    )
    assert set(said) == {
        "random weights instead of imagenet",
        "2 folds in place of 5",
        "3 epochs in place of 30",
        "2 seeds in place of 1",
    }
    assert {arm.weights for arm in study.arms if arm.backbone != "small_cnn"} == {"random"}
    trained = [arm for arm in study.arms if arm.kind != "frozen"]
    assert {arm.config(study.training).epochs for arm in trained} == {3}


def test_named_weights_are_replaced_alone():
    overrides = Overrides(weights={"radimagenet": "folder/mine.pt"})
    study, said = apply_overrides(load_study("radimagenet-thyroid"), overrides)
    assert said == ("mine.pt weights instead of radimagenet",)
    weights = {arm.name: arm.weights for arm in study.arms}
    assert weights["ResNet-18 from nothing"] == "random"
    assert weights["ResNet-18 from ImageNet"] == "imagenet"
    assert weights["ResNet-18 from RadImageNet"] == "folder/mine.pt"


def test_another_backbone_trains_its_last_stage_where_a_layer_was_named():
    overrides = Overrides(backbones={"vgg16": "timm/test_resnet"})
    study, said = apply_overrides(load_study("sai-sundar"), overrides)
    # The arms on VGG-16 state no preprocessing that could be lost.
    assert said == ("timm/test_resnet in place of vgg16",)
    arm = next(arm for arm in study.arms if arm.name == "VGG-16 fine-tuned")
    config = arm.config(study.training)
    assert (config.backbone, config.unfreeze) == ("timm/test_resnet", "last")


@pytest.mark.parametrize(
    ("study", "old", "new", "kept"),
    [
        ("swin-luna16", "swin_unetr", "medicalnet_resnet10", True),
        ("swin-luna16", "swin_unetr", "swin_unetr_brats", False),
        ("tn5000-swinv2", "swinv2_base", "timm/test_vit", False),
    ],
)
def test_a_stated_preprocessing_is_kept_or_the_loss_is_reported(
    study: str, old: str, new: str, kept: bool
) -> None:
    before = load_study(study)
    after, said = apply_overrides(before, Overrides(backbones={old: new}))
    stated = [arm.preprocessing for arm in before.arms]
    assert any(stated)
    assert [arm.preprocessing for arm in after.arms] == (stated if kept else [None] * len(stated))
    assert said == (f"{new} in place of {old}{'' if kept else ', with its own preprocessing'}",)


def test_arms_and_protocols_can_be_chosen():
    overrides = Overrides(arms=("VGG-16 fine-tuned",), protocols=("split by patient",))
    study, said = apply_overrides(load_study("sai-sundar"), overrides)
    # A frozen arm stays, for the others to be compared with.
    assert [arm.name for arm in study.arms] == ["VGG-16 fine-tuned", "VGG-16 flattened + SVM"]
    assert [p.name for p in study.protocols if p.default] == ["split by patient"]
    assert said[0] == "2 of 11 arms"
    assert "without the protocol 'augmented, then split by image'" in said


def test_an_optional_protocol_takes_the_place_of_the_usual():
    overrides = Overrides(protocols=("the data set's own split",))
    study, _ = apply_overrides(load_study("tn5000-swinv2"), overrides)
    assert [p.kind for p in study.protocols if p.default] == ["split"]


def test_frozen_networks_can_be_added_with_the_studys_heads():
    study, said = apply_overrides(
        load_study("sai-sundar"), Overrides(also={"resnet18": "a/mine.pth"})
    )
    assert said == ("resnet18 (mine.pth) added",)
    added = [(arm.name, arm.weights) for arm in study.arms if arm.backbone == "resnet18"]
    assert added == [
        ("resnet18 + svm_2018", "a/mine.pth"),
        ("resnet18 + linear_svc_2018", "a/mine.pth"),
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"arms": ("VGG",)}, "unknown arm of sai-sundar 'VGG'"),
        ({"protocols": ("cv",)}, "unknown protocol of sai-sundar 'cv'"),
        ({"backbones": {"vgg19": "vgg16"}}, "unknown backbone of the arms 'vgg19'"),
        ({"weights": {"radimagenet": "x"}}, "unknown weights of the arms 'radimagenet'"),
    ],
)
def test_what_a_study_does_not_have_cannot_be_cut(overrides, message):
    with pytest.raises(UsageError, match=message):
        apply_overrides(load_study("sai-sundar"), Overrides(**overrides))


def test_impossible_numbers_are_refused():
    with pytest.raises(UsageError, match="folds must be a whole number from 2 to 10,000, not 1"):
        Overrides(folds=1)
