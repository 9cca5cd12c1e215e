"""Options: their names, ranges, and the TOML file."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

from bottleneck.errors import UsageError
from bottleneck.finetune.training_options import (
    TrainingAugmentation,
    TrainingOptions,
    parse_class_weights,
    read_training_options,
)
from bottleneck.settings.schema import from_table


def test_file_and_what_is_given(tmp_path: Path) -> None:
    path = tmp_path / "swin.toml"
    path.write_text(
        'backbone = "swinv2_base"\nlearning-rate = 2e-5\nbatch_size = 16\naccumulate = 2\n'
        'loss = "focal"\njitter = 0.2\n[class_weights]\nbenign = 1.75\nmalignant = 0.70\n'
    )
    config = read_training_options(path, epochs=3, batch_size=4)
    assert config == TrainingOptions(
        backbone="swinv2_base",
        learning_rate=2e-5,
        batch_size=4,
        accumulate=2,
        loss="focal",
        jitter=0.2,
        class_weights={"benign": 1.75, "malignant": 0.7},
        epochs=3,
    )
    assert config.augmentation == TrainingAugmentation(jitter=0.2)
    assert dataclasses.replace(config, augment=False).augmentation == TrainingAugmentation.none()
    assert from_table(TrainingOptions, config.to_dict(), "itself") == config


def test_the_command_line_has_the_same_names() -> None:
    from bottleneck.cli.finetune import finetune

    known = {field.name for field in dataclasses.fields(TrainingOptions)}
    assert known <= set(inspect.signature(finetune).parameters)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": "512;256"}, "hidden layers must be N,N,…, such as 512,256, not '512;256'"),
        ({"hidden": [0]}, "hidden 1 must be a whole number from 1 to 65,536, not 0"),
        ({"epochz": 1}, "f.toml: unknown key 'epochz'; did you mean 'epochs'"),
        ({"loss": "hinge"}, "unknown loss 'hinge'. Known: cross_entropy, focal"),
        ({"optimizer": "lion"}, "Known: adam, adamw, sgd"),
        (
            {"epochs": 0},
            "f.toml: epochs must be a whole number from 1 to 1,000,000, not 0",
        ),
        (
            {"epochs": 2.5},
            "epochs must be a whole number from 1 to 1,000,000, not 2.5",
        ),
        (
            {"epochs": "3"},
            "epochs must be a whole number from 1 to 1,000,000, not '3'",
        ),
        ({"flip": True}, "flip must be a number from 0 to 1, not True"),
        (
            {"learning_rate": 0},
            "learning_rate must be a number above 0 and at most 1,000,000,000, not 0",
        ),
        ({"learning_rate": float("nan")}, "learning_rate must be"),
        ({"warmup": 1.5}, "warmup must be a number from 0 to 1, not 1.5"),
        ({"augment": 1}, "augment must be true or false, not 1"),
        ({"unfreeze": 3}, "unfreeze must be a string, not 3"),
        (
            {"class_weights": "even"},
            "none, balanced, or LABEL=NUMBER for each label, not 'even'",
        ),
        (
            {"class_weights": {"a": -1}},
            "class_weights.a must be a number above 0 and at most 1,000,000,000, not -1",
        ),
        (
            {"workers": -1},
            "workers must be a whole number from 0 to 1,024, or auto, not -1",
        ),
        ({"validation": 0.7}, "validation must be a number above 0 and at most 0.5, not 0.7"),
    ],
)
def test_values_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        from_table(TrainingOptions, options, "f.toml")


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_training_options(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("epochs = ")
    with pytest.raises(UsageError, match="cannot be read"):
        read_training_options(tmp_path / "bad.toml")


def test_hidden_layers_as_text_and_as_json() -> None:
    config = TrainingOptions(hidden="512,256")  # type: ignore[arg-type]  # As the shell has it.
    assert config.hidden == (512, 256)
    assert from_table(TrainingOptions, {"hidden": [512, 256]}, "json") == config


def test_class_weights_as_text() -> None:
    assert parse_class_weights("balanced") == "balanced"
    found = parse_class_weights("benign=1.75, malignant=0.7")
    assert found == {"benign": 1.75, "malignant": 0.7}
    with pytest.raises(UsageError, match="'much' is not a number"):
        parse_class_weights("benign=much")
