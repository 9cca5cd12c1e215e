"""How the learning rate moves over a training."""

from __future__ import annotations

import dataclasses
import math

__all__ = ["Schedule"]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The factor of the learning rate at each step.

    It rises linearly from 0 during the warm-up, and falls as its kind says. "linear" and
    "cosine" reach 0 after the last step; "cosine" is the half wave of Loshchilov & Hutter
    (2017) without restarts; "step" multiplies by a factor every so many epochs, counted from
    the first.

    Attributes
    ----------
    kind : {"constant", "linear", "cosine", "step"}
    steps : int
        Steps of the whole training.
    warmup_steps : int
        How many of them are warm-up.
    drop_steps : int
        "step": after how many steps the rate drops.
    drop_factor : float
        "step": by what it is multiplied then.
    """

    kind: str
    steps: int
    warmup_steps: int = 0
    drop_steps: int = 1
    drop_factor: float = 1.0

    def __call__(self, step: int) -> float:
        """Return the factor of a step, counted from 0."""
        if step < self.warmup_steps:
            return step / self.warmup_steps
        if self.kind == "step":
            return self.drop_factor ** (step // self.drop_steps)
        if self.kind == "constant":
            return 1.0
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        done = min(done, 1.0)
        return 1 - done if self.kind == "linear" else (1 + math.cos(math.pi * done)) / 2
