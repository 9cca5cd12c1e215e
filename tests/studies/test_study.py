"""Studies as files: what is read, what is refused, and what the published ones say."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

import hypothesis
import pytest
from hypothesis import strategies
from PIL import Image

from bottleneck.backbones.recipe import slug
from bottleneck.data.images.preparation import Preparation
from bottleneck.errors import UsageError
from bottleneck.studies.study import PUBLISHED, StudyArm, load_study, read_study

OWN = """
title = "Mine"

[[protocols]]
name = "folds"

[[arms]]
name = "frozen"
backbone = "resnet18"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_published_studies():
    assert set(PUBLISHED) >= {"sai-sundar", "radimagenet-thyroid", "tn5000-swinv2", "thyronet-x4"}
    for name in PUBLISHED:
        study = load_study(name)
        assert study.name == name
        models = {row.model for part in study.published for row in part.rows}
        held = {arm.model for arm in study.arms} - {None}
        assert held == models  # No published model is left out.


def test_an_unknown_study_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="unknown study 'sai-sunder'; did you mean 'sai-sundar'"):
        load_study("sai-sunder")


def test_a_study_of_ones_own(tmp_path):
    text = f'data = "images"\n{OWN}training = {{}}\n'
    study = read_study(written(tmp_path, text))
    assert (study.name, study.title) == ("mine", "Mine")
    assert study.data == str(tmp_path / "images")
    assert study.protocols[0].folds == 5
    assert study.arms[0].head == "svm"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            OWN + "heads = 1\n",
            r"mine\.toml: arms 'frozen': unknown key 'heads'; did you mean 'head'",
        ),
        ("titel = 'x'\n" + OWN, "mine.toml: unknown key 'titel'; did you mean 'title'"),
        ('title = "x"\n', "needs at least one protocol|needs at least one arm"),
        (
            OWN.replace('"resnet18"', '"resnet18"\nkind = "thawed"'),
            "arms 'frozen': unknown kind 'thawed'",
        ),
        (OWN.replace('"resnet18"', '"resnet18"\nhead = "svn"'), "unknown head 'svn'"),
        (OWN.replace('"folds"', '"f"\nkind = "draw"'), "needs their sizes: train and test"),
        (
            OWN.replace('"folds"', '"f"\nfolds = 1'),
            "'f': folds must be a whole number from 2",
        ),
        (OWN.replace('"folds"', '"f"\npublished = "test"'), "unknown published set 'test'"),
        (OWN.replace('"resnet18"', '"resnet18"\nmodel = "A"'), "unknown published model 'A'"),
        (OWN + '[[arms]]\nname = "frozen"\nbackbone = "vgg16"\n', "two arms named 'frozen'"),
        (
            OWN + '[[arms]]\nname = "/Frozen/"\nbackbone = "vgg16"\n',
            "arms 'frozen' and '/Frozen/' of the study 'mine' would have the same folder",
        ),
        (OWN + '[[protocols]]\nname = "../folds"\n', "'folds' and '../folds' .* the same folder"),
        (
            OWN + '[[arms]]\nname = "t"\nkind = "trained"\nbackbone = "x"\ntraining = {epoch = 1}',
            "the training of 't': unknown key 'epoch'; did you mean 'epochs'",
        ),
        (
            OWN + '[[published]]\nname = "t"\n[[published.rows]]\nmodel = "m"\nacuracy = "0.8"\n',
            "mine.toml: published 't': rows 'm': unknown key 'acuracy'; did you mean 'accuracy'",
        ),
        (
            OWN + '[[published]]\nname = "t"\n[[published.rows]]\nmodel = "m"\naccuracy = 0.8\n',
            "accuracy must be written as printed, in quotes, .*, not 0.8",
        ),
        (
            OWN
            + '[[published]]\nname = "t"\n[[published.frequencies]]\nwhere = "x"\npositives = 3\n',
            "must be negatives and positives, or weights",
        ),
        (
            "protocols = 3\n" + OWN.partition("[[protocols]]")[0],
            "must be a list of tables, not 3",
        ),
        ("title = \n", "cannot be read"),
        ("title = mine\n", r"column 9\); text must stand in quotes, such as name = \"mine\""),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        read_study(written(tmp_path, text))


def test_options_of_a_training_have_hyphens_or_underscores(tmp_path):
    text = OWN + (
        '[[arms]]\nname = "t"\nkind = "trained"\nbackbone = "small_cnn"\n'
        "training = {batch_size = 8}\n[training]\nlearning-rate = 0.5\nbatch-size = 4\n"
    )
    study = read_study(written(tmp_path, text))
    config = study.arms[1].config(study.training)
    assert (config.learning_rate, config.batch_size) == (0.5, 8)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"the study .*x\.toml cannot be read: No such file"):
        read_study(tmp_path / "x.toml")
    with pytest.raises(UsageError, match=r"the study .* is a folder; name a regular file"):
        read_study(tmp_path)


def test_a_study_needs_a_frozen_arm(tmp_path):
    text = OWN.replace('"resnet18"', '"small_cnn"\nkind = "trained"')
    with pytest.raises(UsageError, match="needs a frozen arm"):
        read_study(written(tmp_path, text))


def test_sai_sundar_is_read_as_its_notes_say():
    study = load_study("sai-sundar")
    arms = {arm.name: arm for arm in study.arms}
    assert {arm.model for arm in study.arms} == {
        "CNN from scratch",
        "VGG_16-Bottleneck+SVM",
        "Inc_v3-Bottleneck+SVM",
        "VGG_16-Bottleneck+New FC",
        "Inc_v3-Bottleneck+New FC",
        "VGG_16 Finetuning",
        "Inc_v3 Finetuning",
    }
    assert {arm.head for arm in study.arms if arm.kind == "frozen"} == {
        "svm_2018",
        "linear_svc_2018",
    }
    # conv5_2 is the 12th of VGG-16's 13 convolutions.
    import timm
    from torch import nn

    features = timm.create_model("vgg16").features
    convolutions = [f"features.{i}" for i, m in enumerate(features) if isinstance(m, nn.Conv2d)]
    assert arms["VGG-16 fine-tuned"].training["unfreeze"] == convolutions[11]
    leaking, honest = study.protocols
    assert (leaking.train, leaking.test, leaking.leaks) == (2525, 613, True)
    assert leaking.augment is not None
    assert (honest.kind, honest.leaks, honest.augment) == ("cv", False, None)


def test_tn5000_is_configured_as_published():
    study = load_study("tn5000-swinv2")
    arm = next(arm for arm in study.arms if arm.kind == "trained")
    config = arm.config(study.training)
    stated = {
        "loss": "focal",
        "gamma": 2.0,
        "class_weights": {"benign": 1.75, "malignant": 0.70},
        "optimizer": "adamw",
        "learning_rate": 2e-5,
        "batch_size": 16,
        "accumulate": 2,
        "schedule": "linear",
        "warmup": 0.1,
        "epochs": 30,
        "patience": 5,
        "precision": "bf16",
        "seed": 42,
        "rotation": 10.0,
        "jitter": 0.2,
        "flip": 0.5,
    }
    assert {name: getattr(config, name) for name in stated} == stated
    drawn, own = study.protocols
    assert (drawn.train, drawn.validation, drawn.test) == (2800, 700, 750)
    assert (own.kind, own.default) == ("split", False)


def test_a_frozen_arm_has_no_training():
    with pytest.raises(UsageError, match="is frozen, so it cannot have a training"):
        StudyArm(name="a", backbone="resnet18", training={"epochs": 1})


def test_arms_state_how_images_are_prepared(tmp_path):
    Image.new("1", (40, 30), 1).crop((-5, 0, 40, 30)).save(tmp_path / "mask.png")
    text = OWN + (
        '[[arms]]\nname = "prepared"\nbackbone = "resnet18"\n'
        'sector = "mask.png"\nmask_text = true\n'
        '[[arms]]\nname = "trained"\nkind = "trained"\nbackbone = "small_cnn"\n'
        'denoise = "lee"\nwindow = [40, 400]\n'
    )
    plain, prepared, trained = read_study(written(tmp_path, text)).arms
    assert plain.preparation == Preparation()
    assert prepared.preparation == Preparation(mask_text=True, sector=tmp_path / "mask.png")
    own = trained.config({"denoise": "median", "mask_text": True}).preparation
    assert own == Preparation(denoise="lee", mask_text=True, window=(40, 400))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('sector = "none.png"', r"mine\.toml: the sector must be auto, or the path of a mask"),
        ('denoise = "nothing"', r"mine\.toml: arms 'frozen': unknown denoise 'nothing'"),
        ('window = "40"', r"mine\.toml: the window must be CENTRE,WIDTH"),
        ("window = [40]", r"window"),
        ("window = [40, 0]", r"mine\.toml: a window needs a finite centre and a positive width"),
        (
            "window = [40, 400]",
            r"has a window or rescaling, which has no effect on the altered copies",
        ),
    ],
)
def test_preparations_that_do_not_fit_are_refused(tmp_path, line, message):
    text = OWN.replace('name = "folds"', 'name = "folds"\naugment = { copies = 2 }')
    with pytest.raises(UsageError, match=message):
        read_study(written(tmp_path, f"{text}{line}\n"))


def test_thyronet_denoises_and_shows_what_that_changes():
    arms = load_study("thyronet-x4").arms
    assert all(arm.denoise == "median" for arm in arms if arm.model)
    for kind in ("trained", "frozen"):
        steps = {arm.denoise for arm in arms if arm.kind == kind}
        assert steps == {None, "median"}


@hypothesis.given(strategies.text(max_size=300) | strategies.sampled_from(["..", "/", "a/../b"]))
@hypothesis.example("NUL.tar.gz")
@hypothesis.example("com1")
@hypothesis.settings(max_examples=150, derandomize=True)
def test_names_become_folders_below_the_output(name: str) -> None:
    folder = slug(name)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", folder)
    assert len(folder) <= 110
    assert not PureWindowsPath(folder).is_reserved()
    assert slug(folder) == folder
    assert (Path("studies") / folder).parent == Path("studies")
