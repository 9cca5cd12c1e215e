"""The Lightning modules that train and predict, and how rows reach them."""

from __future__ import annotations

import copy
import functools
import math
import os
import signal
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from bottleneck.errors import UsageError
from bottleneck.features import devices
from bottleneck.files.temporary import own_folder
from bottleneck.finetune.inputs.training_data import Inputs, Item
from bottleneck.finetune.inputs.transforms import derive_seed
from bottleneck.finetune.inputs.validation_split import FoldSplit
from bottleneck.finetune.networks.classifier import Classifier
from bottleneck.finetune.training.early_stopping import Validated
from bottleneck.finetune.training.losses import build_loss, weigh_classes
from bottleneck.finetune.training.lr_schedule import make_scheduler
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.processes import worker_processes

__all__ = ["Embedding", "Predicting", "Training", "auroc", "load_batches", "n_used"]

_OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


class Training(Validated):
    """The Lightning module that trains: steps, validation and optimiser.

    Nothing depends on the state of a random generator: the order of an epoch, the augmentation of
    each image and the dropout of each step follow from seed, epoch and number. An epoch that is
    repeated after a kill is therefore identical to the one that was lost.
    """

    def __init__(self, inputs: Inputs, part: FoldSplit, config: TrainingOptions) -> None:
        super().__init__()
        self.inputs = inputs
        self.part = part
        self.config = config
        self.network = inputs.network(config.seed)
        self.loss = build_loss(
            config.loss,
            config.gamma,
            weigh_classes(config.class_weights, inputs.y[part.train], inputs.classes),
        )
        self.main_process, self.temporary = os.getpid(), own_folder()
        self.outputs: list[tuple[Tensor, Tensor]] = []
        self.val_loss = self.val_auroc = self.val_accuracy = float("nan")
        self.val_recall: dict[str, float] = {}

    def train_dataloader(self) -> DataLoader[Item]:
        """Return the batches of the current epoch, augmented and in its order."""
        seed, epoch = self.config.seed, self.current_epoch
        generator = torch.Generator().manual_seed(derive_seed("order", seed, epoch))
        order = torch.randperm(len(self.part.train), generator=generator).numpy()
        rows = self.part.train[order][: n_used(len(order), self.config)]
        share = self.global_rank, self.trainer.world_size
        return load_batches(self.inputs, rows, self.config, augmented=(seed, epoch), share=share)

    def val_dataloader(self) -> DataLoader[Item]:
        """Return the batches of the validation set."""
        share = self.global_rank, self.trainer.world_size
        return load_batches(self.inputs, self.part.validation, self.config, share=share)

    def on_train_start(self) -> None:
        """Let the processes of several devices end with the one that started them."""
        if os.getpid() != self.main_process:  # One process per device.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            worker_processes.enter(
                self.main_process, self.temporary, thread_stays=True, sigterm=True
            )

    def on_train_epoch_start(self) -> None:
        """Switch on what only training has; Lightning leaves the network as it was."""
        self.network.train()

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        """Return the loss of a batch."""
        inputs, labels, _ = batch
        rank, world = self.global_rank, self.trainer.world_size
        place = number * world + rank
        torch.manual_seed(derive_seed("step", self.config.seed, self.current_epoch, place))
        logits = self.network(inputs)
        loss: Tensor = self.loss(logits, labels)
        if not torch.isfinite(loss):
            raise UsageError(
                f"the loss is not finite in epoch {self.current_epoch + 1}: use a smaller "
                "--learning-rate, or --precision fp32"
            )
        # Of the images as they were augmented, while the network changes.
        right = (logits.detach().argmax(1) == labels).float().mean()
        self.log_dict(
            {"train_loss": loss, "train_accuracy": right},
            on_step=False,
            on_epoch=True,
            batch_size=len(labels),
            sync_dist=True,
        )
        return loss

    def validation_step(self, batch: list[Tensor], number: int) -> None:
        """Compute the logits of a batch."""
        inputs, _, rows = batch
        self.outputs.append((self.network.exact_logits(inputs), rows))

    def on_validation_epoch_end(self) -> None:
        """Compute loss and AUROC of the validation set."""
        logits, rows = (torch.cat(parts) for parts in zip(*self.outputs, strict=True))
        self.outputs.clear()
        if self.trainer.world_size > 1:
            logits, rows = (cast(Tensor, self.all_gather(t)).flatten(0, 1) for t in (logits, rows))
        # With several devices, samples are repeated so that all devices have equally many.
        _, first = np.unique(rows.cpu().numpy(), return_index=True)
        logits, rows = logits[first], rows[first]
        labels = self.inputs.labels[rows.cpu().numpy()]
        probabilities = logits.double().softmax(1).cpu().numpy()
        self.val_auroc = auroc(labels, probabilities)
        right = probabilities.argmax(axis=1) == labels
        self.val_accuracy = float(right.mean())
        self.val_recall = {
            name: float(right[labels == code].mean())
            for code, name in enumerate(self.inputs.classes)
        }
        self.val_loss = float(self.loss(logits, torch.from_numpy(labels).to(logits.device)))
        if not math.isfinite(self.val_loss):
            raise _not_finite("validation loss")

    def configure_optimizers(self) -> Any:
        """Return the optimiser and the schedule of its learning rate."""
        config = self.config
        trained = [p for p in self.network.parameters() if p.requires_grad]
        extra = {"momentum": config.momentum} if config.optimizer == "sgd" else {}
        optimizer = _OPTIMIZERS[config.optimizer](
            trained, lr=config.learning_rate, weight_decay=config.weight_decay, **extra
        )
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = make_scheduler(
            optimizer,
            config.schedule,
            steps,
            warmup_steps=round(config.warmup * steps),
            drop_steps=config.step_epochs * max(1, steps // config.epochs),
            drop_factor=config.step_factor,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


class Predicting(pl.LightningModule):
    """The Lightning module that predicts.

    Parameters
    ----------
    network : Classifier
        What to predict with.
    """

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network
        # As on new images: whatever the precision and the batch, the rows of a network become
        # scores in float64.
        self.head = copy.deepcopy(network.head).double()

    def predict_step(self, batch: list[Tensor], number: int) -> Tensor:
        """Return the probability of every class, shape (len(batch), n_classes)."""
        features = self.network.features(batch[0]).double()
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features).softmax(1).cpu()


class Embedding(Predicting):
    """The Lightning module that computes the pooled last map."""

    def predict_step(self, batch: list[Tensor], number: int) -> Tensor:
        """Return the features of every image, shape (len(batch), width)."""
        return self.network.features(batch[0]).float().cpu()


def auroc(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Return the AUROC; for three classes or more, the mean of the one-vs-rest AUROCs."""
    from sklearn.metrics import roc_auc_score

    if not np.isfinite(probabilities).all():
        raise _not_finite("network's output")
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(labels, probabilities[:, 1]))
    truth = labels[:, None] == np.arange(probabilities.shape[1])
    return float(roc_auc_score(truth, probabilities, average="macro"))


def _not_finite(what: str) -> UsageError:
    return UsageError(
        f"the {what} is not finite: use a smaller --learning-rate, or --precision fp32"
    )


def n_used(n: int, config: TrainingOptions) -> int:
    """Return how many of n samples an epoch uses."""
    # Batch normalisation of a single sample is undefined: no device's last batch may be one.
    share = math.ceil(n / config.devices)
    return min(n, (share - 1) * config.devices) if share % config.batch_size == 1 < share else n


def load_batches(
    inputs: Inputs,
    rows: NDArray[np.intp],
    config: TrainingOptions,
    augmented: tuple[int, int] | None = None,
    share: tuple[int, int] = (0, 1),
) -> DataLoader[Item]:
    """Return the batches of rows.

    Parameters
    ----------
    inputs : Inputs
        Samples and network.
    rows : array of int
        Rows, in order.
    config : TrainingOptions
        Options.
    augmented : (int, int), optional
        Seed and epoch of the augmentation; by default images are not augmented.
    share : (int, int), optional
        Number of the device, and how many devices share the rows.
    """
    on_gpu = devices.resolve_device(config.device).type == "cuda"
    if isinstance(config.workers, int):
        workers = config.workers
    else:
        # On a CPU, the network keeps the cores busy.
        workers = devices.default_workers() if on_gpu else 0
    items, (rank, world) = inputs.items(rows, augmented), share
    return DataLoader(
        items,
        batch_size=config.batch_size,
        # Lightning's own sampler would shuffle the order again.
        sampler=DistributedSampler(items, world, rank, shuffle=False) if world > 1 else None,
        num_workers=workers,
        # torch ends them with SIGTERM.
        worker_init_fn=functools.partial(_enter_worker, os.getpid(), own_folder())
        if workers
        else None,
        pin_memory=on_gpu,
        # Without its own generator, it would draw from the one that dropout uses.
        generator=torch.Generator(),
    )


def _enter_worker(parent: int, folder: Path, number: int) -> None:
    worker_processes.enter(parent, folder, thread_stays=True, sigterm=True)
