"""Losses and schedules against closed forms, torch, torchvision and transformers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, StepLR
from torchvision.ops import sigmoid_focal_loss

from bottleneck.errors import UsageError
from bottleneck.finetune.training.losses import FocalLoss, build_loss, weigh_classes
from bottleneck.finetune.training.lr_schedule import make_scheduler

LOGITS = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)) * 3
LABELS = torch.arange(40) % 3
WEIGHTS = torch.tensor([1.75, 0.7, 1.0])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_gamma_0_is_cross_entropy(weights: torch.Tensor | None) -> None:
    expected = cross_entropy(LOGITS, LABELS, weight=weights)
    torch.testing.assert_close(FocalLoss(0, weights)(LOGITS, LABELS), expected)
    array = None if weights is None else weights.numpy()
    torch.testing.assert_close(build_loss("cross_entropy", 2.0, array)(LOGITS, LABELS), expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_two_classes_are_the_sigmoid_focal_loss(gamma: float) -> None:
    logits, labels = LOGITS[:, :2], LABELS % 2
    margin = logits[:, 1] - logits[:, 0]
    expected = sigmoid_focal_loss(margin, labels.float(), alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(FocalLoss(gamma)(logits, labels), expected)


def test_class_weights_are_the_alpha_of_the_sigmoid_focal_loss() -> None:
    logits, labels = LOGITS[:, :2], LABELS % 2
    margin = logits[:, 1] - logits[:, 0]
    sums = sigmoid_focal_loss(margin, labels.float(), alpha=0.3, gamma=2, reduction="sum")
    ours = FocalLoss(2, torch.tensor([0.7, 0.3]))(logits, labels)
    torch.testing.assert_close(ours, sums / torch.tensor([0.7, 0.3])[labels].sum())


def test_published_example() -> None:
    # Lin et al. 2017, section 3.2: with γ = 2 a sample of p_t = 0.9 counts 100 times less, one of
    # 0.968 1000 times less, and one of 0.5 at most 4 times.
    for p, ratio in ((0.9, 100), (0.968, 1000), (0.5, 4)):
        logits = torch.tensor([[math.log(p), math.log(1 - p)]])
        label = torch.tensor([0])
        found = cross_entropy(logits, label) / FocalLoss(2)(logits, label)
        assert float(found) == pytest.approx(ratio, rel=0.03)


def test_a_sample_without_any_doubt_has_a_finite_slope() -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    FocalLoss(0.5)(logits, torch.tensor([0])).backward()
    assert torch.isfinite(logits.grad).all()


def test_class_weights() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array(["benign"] * 6 + ["malignant"] * 2 + ["unsure"])
    classes = ("benign", "malignant", "unsure")
    balanced = weigh_classes("balanced", labels, classes)
    expected = compute_class_weight("balanced", classes=np.array(classes), y=labels)
    np.testing.assert_allclose(balanced, expected, rtol=1e-6)
    assert weigh_classes("none", labels, classes) is None
    given = weigh_classes({"unsure": 3, "benign": 1.75, "malignant": 0.7}, labels, classes)
    np.testing.assert_allclose(given, [1.75, 0.7, 3], rtol=1e-6)
    with pytest.raises(UsageError, match="lack the label 'unsure'"):
        weigh_classes({"benign": 1, "malignant": 1}, labels, classes)
    with pytest.raises(UsageError, match="did you mean 'benign'"):
        weigh_classes({"bengin": 1}, labels, classes)


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0, 7])
def test_schedule_is_that_of_transformers(kind: str, warmup: int) -> None:
    from transformers import optimization

    makers = {
        "linear": lambda o: optimization.get_linear_schedule_with_warmup(o, warmup, 50),
        "cosine": lambda o: optimization.get_cosine_schedule_with_warmup(o, warmup, 50),
        "constant": lambda o: optimization.get_constant_schedule_with_warmup(o, warmup),
    }
    ours = rates(lambda o: make_scheduler(o, kind, 50, warmup_steps=warmup), 50)
    assert ours == pytest.approx(rates(makers[kind], 50))


def test_schedule_without_warmup_is_torchs() -> None:
    cosine = rates(lambda o: CosineAnnealingLR(o, 50), 50)
    assert rates(lambda o: make_scheduler(o, "cosine", 50), 50) == pytest.approx(cosine)
    step = rates(lambda o: StepLR(o, 12, 0.1), 50)
    dropping = {"drop_steps": 12, "drop_factor": 0.1}
    assert rates(lambda o: make_scheduler(o, "step", 50, **dropping), 50) == pytest.approx(step)


def test_schedules_are_their_closed_forms_to_the_last_bit() -> None:
    after = [(step - 10) / 40 for step in range(10, 50)]
    closed = {
        "constant": [1.0] * 40,
        "linear": [1 - done for done in after],
        "cosine": [(1 + math.cos(math.pi * done)) / 2 for done in after],
        # Drops are counted from the first step of the training, not from the end of the warm-up.
        "step": [0.1 ** (step // 12) for step in range(10, 50)],
    }
    warming = [step / 10 for step in range(10)]
    for kind, factors in closed.items():
        found = rates(
            lambda o, kind=kind: make_scheduler(
                o, kind, 50, warmup_steps=10, drop_steps=12, drop_factor=0.1
            ),
            50,
        )
        assert found == [0.5 * factor for factor in warming + factors], kind


def rates(make: Callable[[torch.optim.Optimizer], LRScheduler], steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            scheduler.step()
    return found
