"""Schedules of the learning rate over a training."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["make_scheduler"]


def make_scheduler(
    optimizer: Optimizer,
    kind: str,
    steps: int,
    *,
    warmup_steps: int = 0,
    drop_steps: int = 1,
    drop_factor: float = 1.0,
) -> LambdaLR:
    """Return torch's scheduler of the learning rate, to be advanced after every step.

    The rate rises linearly from 0 during the warm-up and then falls as ``kind`` says. torch's
    LinearLR cannot start at 0, and its CosineAnnealingLR computes each rate from the last one and
    so accumulates rounding errors; LambdaLR takes the closed form.

    Parameters
    ----------
    optimizer : Optimizer
        Its learning rate is the highest one.
    kind : {"constant", "linear", "cosine", "step"}
        "linear" and "cosine" reach 0 after the last step; "cosine" is the half wave of Loshchilov
        & Hutter (2017) without restarts; "step" multiplies the rate by ``drop_factor`` every
        ``drop_steps`` steps, counted from the first.
    steps : int
        Steps of the whole training.
    warmup_steps : int
        Steps of the warm-up.
    drop_steps, drop_factor : int, float
        For "step" only.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return step / warmup_steps
        if kind == "step":
            return drop_factor ** (step // drop_steps)
        done = min((step - warmup_steps) / max(1, steps - warmup_steps), 1.0)
        return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[
            kind
        ]

    return LambdaLR(optimizer, factor)
