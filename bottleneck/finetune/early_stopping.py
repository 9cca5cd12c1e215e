"""The course of a training: its learning curve, its best network, and when it ends."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from bottleneck.finetune.classifier import Classifier
from bottleneck.finetune.settings import Config

__all__ = ["Course", "Curve", "Move", "Validated", "best_epoch", "is_over"]

Move = Callable[[int, int, str], None]
Curve = list[dict[str, Any]]


class Validated(pl.LightningModule):
    """A network in training that knows how it did on the validation part.

    Attributes
    ----------
    network : Classifier
        What is trained.
    val_loss, val_auroc : float
        Of the last epoch.
    """

    network: Classifier
    val_loss: float
    val_auroc: float


class Course(Callback):
    """The learning curve, the best network so far, and when to stop.

    All of it lies in the checkpoint beside optimiser and schedule, so that one file written at
    once holds one state of the training.
    """

    def __init__(self, config: Config, move: Move | None, text: str) -> None:
        self.config = config
        self.move = move
        self.text = text
        self.curve: Curve = []
        self.best: dict[str, Tensor] = {}
        self._began = 0.0
        self._rate = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"curve": self.curve, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint kept."""
        self.curve, self.best = state_dict["curve"], state_dict["best"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the clock."""
        self._began = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the learning rate."""
        # At the end of the epoch the schedule has moved on to the next.
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Say how far it is."""
        if self.move is not None and trainer.is_global_zero:
            n_batches = int(trainer.num_training_batches)
            done = trainer.current_epoch * n_batches + batch_idx + 1
            self.move(done, self.config.epochs * n_batches, self._say())

    def _say(self) -> str:
        aurocs = [row["val_auroc"] for row in self.curve]
        best = f", AUROC {max(aurocs):.3f}" if aurocs else ""
        return f"{self.text}, epoch {len(self.curve) + 1}{best}"

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Extend the curve, keep the network if it is the best, and stop if it is time."""
        assert isinstance(pl_module, Validated)
        self.curve.append(
            {
                "epoch": len(self.curve) + 1,
                "train_loss": float(trainer.callback_metrics["train_loss"]),
                "val_loss": pl_module.val_loss,
                "val_auroc": pl_module.val_auroc,
                "learning_rate": self._rate,
                "seconds": time.perf_counter() - self._began,
                "peak_memory_bytes": _peak_memory(pl_module.device),
            }
        )
        if best_epoch(self.curve) == len(self.curve):
            state = pl_module.network.state_dict()
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
        if is_over(self.curve, self.config):
            trainer.should_stop = True


def best_epoch(curve: Curve) -> int:
    """Return the epoch, from 1, of the highest AUROC of the validation part; the first of several.

    Parameters
    ----------
    curve : list of dict
        One an epoch, with ``val_auroc``.
    """
    return 1 + int(np.argmax([row["val_auroc"] for row in curve]))


def is_over(curve: Curve, config: Config) -> bool:
    """Whether a training with this curve ends."""
    waited = len(curve) - best_epoch(curve) if curve else 0
    return len(curve) >= config.epochs or bool(config.patience and waited >= config.patience)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
