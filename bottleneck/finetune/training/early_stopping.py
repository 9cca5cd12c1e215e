"""The learning curve of a training, its best network, and early stopping."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from bottleneck.finetune.networks.classifier import Classifier
from bottleneck.finetune.training_options import TrainingOptions

__all__ = ["Course", "Curve", "Move", "Validated", "best_epoch", "is_over"]

Move = Callable[[int, int, str], None]
Curve = list[dict[str, Any]]


class Validated(pl.LightningModule):
    """A network in training, with its latest results on the validation set.

    Attributes
    ----------
    network : Classifier
        The network.
    val_loss, val_auroc, val_accuracy : float
        Loss, AUROC and accuracy on the validation set after the last epoch.
    val_recall : dict of str to float
        Share of each class of the validation set that was predicted right.
    """

    network: Classifier
    val_loss: float
    val_auroc: float
    val_accuracy: float
    val_recall: dict[str, float]


class Course(Callback):
    """A callback that records the learning curve, keeps the best network, and stops the training.

    Its state is part of the checkpoint, so that one file, written at once, holds one state of the
    training.
    """

    def __init__(self, config: TrainingOptions, move: Move | None, text: str) -> None:
        self.config = config
        self.move = move
        self.text = text
        self.curve: Curve = []
        self.best: dict[str, Tensor] = {}
        self._began = 0.0
        self._rate = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"curve": self.curve, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.curve, self.best = state_dict["curve"], state_dict["best"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start timing the epoch."""
        self._began = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Record the learning rate of the step."""
        # At the end of the epoch, the scheduler has already set the next rate.
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Report progress."""
        if self.move is not None and trainer.is_global_zero:
            n_batches = int(trainer.num_training_batches)
            done = trainer.current_epoch * n_batches + batch_idx + 1
            self.move(done, self.config.epochs * n_batches, self._describe())

    def _describe(self) -> str:
        aurocs = [row["val_auroc"] for row in self.curve]
        best = f", AUROC {max(aurocs):.3f}" if aurocs else ""
        return f"{self.text}, epoch {len(self.curve) + 1}{best}"

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Extend the learning curve, keep the network if it is the best, and stop at the end."""
        assert isinstance(pl_module, Validated)
        self.curve.append(
            {
                "epoch": len(self.curve) + 1,
                "train_loss": float(trainer.callback_metrics["train_loss"]),
                "train_accuracy": float(trainer.callback_metrics["train_accuracy"]),
                "val_loss": pl_module.val_loss,
                "val_auroc": pl_module.val_auroc,
                "val_accuracy": pl_module.val_accuracy,
                "val_recall": pl_module.val_recall,
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
    """Return the epoch, from 1, with the highest validation AUROC; the first of equals.

    Parameters
    ----------
    curve : list of dict
        One entry per epoch, with ``val_auroc``.
    """
    return 1 + int(np.argmax([row["val_auroc"] for row in curve]))


def is_over(curve: Curve, config: TrainingOptions) -> bool:
    """Return whether a training with this learning curve is over."""
    waited = len(curve) - best_epoch(curve) if curve else 0
    return len(curve) >= config.epochs or bool(config.patience and waited >= config.patience)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
