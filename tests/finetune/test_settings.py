"""Options: their names, ranges, and the TOML file."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

from bottleneck.errors import UsageError
from bottleneck.finetune.settings import Augmentation, Config, parse_class_weights, read_config


def test_file_and_what_is_given(tmp_path: Path) -> None:
    path = tmp_path / "swin.toml"
    path.write_text(
        'backbone = "swinv2_base"\nlearning-rate = 2e-5\nbatch_size = 16\naccumulate = 2\n'
        'loss = "focal"\njitter = 0.2\n[class_weights]\nbenign = 1.75\nmalignant = 0.70\n'
    )
    config = read_config(path, epochs=3, batch_size=4)
    assert config == Config(
        backbone="swinv2_base",
        learning_rate=2e-5,
        batch_size=4,
        accumulate=2,
        loss="focal",
        jitter=0.2,
        class_weights={"benign": 1.75, "malignant": 0.7},
        epochs=3,
    )
    assert config.augmentation == Augmentation(jitter=0.2)
    assert dataclasses.replace(config, augment=False).augmentation == Augmentation.none()
    assert Config.from_dict(config.to_dict(), "itself") == config


def test_the_command_line_has_the_same_names() -> None:
    from bottleneck.cli.finetune import finetune

    known = {field.name for field in dataclasses.fields(Config)}
    assert known <= set(inspect.signature(finetune).parameters)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochz": 1}, "unknown option in f.toml 'epochz'; did you mean 'epochs'"),
        ({"loss": "hinge"}, "unknown loss 'hinge'. Known: cross_entropy, focal"),
        ({"optimizer": "lion"}, "Known: adam, adamw, sgd"),
        ({"epochs": 0}, "epochs must be from 1 on, not 0"),
        ({"epochs": 2.5}, "epochs is a whole number"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be"),
        ({"warmup": 1.5}, "from 0 on up to 1"),
        ({"augment": 1}, "augment is true or false"),
        ({"unfreeze": 3}, "unfreeze is a text"),
        ({"class_weights": "even"}, "none, balanced, or LABEL=NUMBER"),
        ({"class_weights": {"a": -1}}, "weight of 'a' must be above 0"),
        ({"workers": -1}, "workers is a whole number"),
        ({"validation": 0.7}, "validation must be above 0 up to 0.5"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Config.from_dict(options, "f.toml")


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("epochs = ")
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(tmp_path / "bad.toml")


def test_class_weights_as_text() -> None:
    assert parse_class_weights("balanced") == "balanced"
    found = parse_class_weights("benign=1.75, malignant=0.7")
    assert found == {"benign": 1.75, "malignant": 0.7}
    with pytest.raises(UsageError, match="'much' is no number"):
        parse_class_weights("benign=much")
