"""Train one network on one fold with Lightning's Trainer."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from numpy.typing import NDArray
from torch import Tensor
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException
from torch.utils.data import DataLoader, DistributedSampler

from bottleneck.errors import UsageError, first_line
from bottleneck.features import devices
from bottleneck.files.temporary import own_folder
from bottleneck.finetune.classifier import Classifier
from bottleneck.finetune.early_stopping import Course, Curve, Move, Validated, best_epoch, is_over
from bottleneck.finetune.losses import build_loss, weigh_classes
from bottleneck.finetune.lr_schedule import make_scheduler
from bottleneck.finetune.saved_files import DamagedFile
from bottleneck.finetune.training_checkpoint import CheckpointFile
from bottleneck.finetune.training_data import Inputs, Item
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.finetune.transforms import derive_seed
from bottleneck.finetune.validation_split import FoldSplit
from bottleneck.processes import worker_processes

__all__ = ["auroc", "predict_rows", "train_network"]

# In seconds: what lies between the signals that a batch system sends to the processes of a job.
_MOMENT = 0.5
_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


class _Training(Validated):
    """The Lightning module: training steps, validation and optimiser.

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
        self.val_loss = self.val_auroc = float("nan")

    def train_dataloader(self) -> DataLoader[Item]:
        seed, epoch = self.config.seed, self.current_epoch
        generator = torch.Generator().manual_seed(derive_seed("order", seed, epoch))
        order = torch.randperm(len(self.part.train), generator=generator).numpy()
        rows = self.part.train[order][: _n_used(len(order), self.config)]
        share = self.global_rank, self.trainer.world_size
        return _loader(self.inputs, rows, self.config, augmented=(seed, epoch), share=share)

    def val_dataloader(self) -> DataLoader[Item]:
        share = self.global_rank, self.trainer.world_size
        return _loader(self.inputs, self.part.validation, self.config, share=share)

    def on_train_start(self) -> None:
        if os.getpid() != self.main_process:  # One process per device.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            worker_processes.enter(
                self.main_process, self.temporary, thread_stays=True, sigterm=True
            )

    def on_train_epoch_start(self) -> None:
        self.network.train()

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        inputs, labels, _ = batch
        rank, world = self.global_rank, self.trainer.world_size
        place = number * world + rank
        torch.manual_seed(derive_seed("step", self.config.seed, self.current_epoch, place))
        loss: Tensor = self.loss(self.network(inputs), labels)
        if not torch.isfinite(loss):
            raise UsageError(
                f"the loss is not finite in epoch {self.current_epoch + 1}: use a smaller "
                "--learning-rate, or --precision fp32"
            )
        self.log(
            "train_loss", loss, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True
        )
        return loss

    def validation_step(self, batch: list[Tensor], number: int) -> None:
        inputs, _, rows = batch
        self.outputs.append((self.network(inputs).float(), rows))

    def on_validation_epoch_end(self) -> None:
        logits, rows = (torch.cat(parts) for parts in zip(*self.outputs, strict=True))
        self.outputs.clear()
        if self.trainer.world_size > 1:
            logits, rows = (cast(Tensor, self.all_gather(t)).flatten(0, 1) for t in (logits, rows))
        # With several devices, samples are repeated so that all devices have equally many.
        _, first = np.unique(rows.cpu().numpy(), return_index=True)
        logits, rows = logits[first], rows[first]
        labels = self.inputs.labels[rows.cpu().numpy()]
        self.val_auroc = auroc(labels, logits.double().softmax(1).cpu().numpy())
        self.val_loss = float(self.loss(logits, torch.from_numpy(labels).to(logits.device)))
        if not math.isfinite(self.val_loss):
            raise _not_finite("validation loss")

    def configure_optimizers(self) -> Any:
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


def train_network(
    inputs: Inputs,
    part: FoldSplit,
    config: TrainingOptions,
    checkpoint: CheckpointFile,
    move: Move | None,
    text: str,
    note: Callable[[str], None],
) -> tuple[Classifier, dict[str, Any]]:
    """Train a network, or continue an interrupted training.

    Parameters
    ----------
    inputs : Inputs
        Samples and network.
    part : FoldSplit
        Rows of the training and validation sets.
    config : TrainingOptions
        Options, with a precision other than "auto".
    checkpoint : CheckpointFile
        Written after every epoch. One that exists is continued; a damaged one is set aside, and
        the training starts again.
    move : callable or None
        Progress, as for the public functions: called with the number of batches done, their
        largest possible number, and a text.
    text : str
        What is being trained, for the progress.
    note : callable
        Called with a sentence on a damaged checkpoint.

    Returns
    -------
    network : Classifier
        The network with the weights of the best epoch.
    record : dict
        curve, chosen_epoch, seconds of all epochs, images_seen, device, peak_memory_bytes, and
        peak_memory_of: "device", or "process" for the process since its start.
    """
    device = devices.resolve_device(config.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with torch.random.fork_rng(devices=[]), _quiet():
        try:
            module = _train(inputs, part, config, checkpoint, move, text)
        except DamagedFile as damaged:
            note(f"{damaged.set_aside()} The fold is trained again from its start.")
            module = _train(inputs, part, config, checkpoint, move, text)
    state = checkpoint.read_course()
    curve: Curve = state["curve"]
    module.network.load_state_dict(state["best"])
    used = _n_used(len(part.train), config)
    return module.network, {
        "curve": curve,
        "chosen_epoch": best_epoch(curve),
        "seconds": sum(row["seconds"] for row in curve),
        "images_seen": len(curve) * used,
        "device": devices.describe_device(device),
        "peak_memory_bytes": max(row["peak_memory_bytes"] for row in curve),
        "peak_memory_of": "device" if device.type == "cuda" else "process",
    }


def _train(
    inputs: Inputs,
    part: FoldSplit,
    config: TrainingOptions,
    checkpoint: CheckpointFile,
    move: Move | None,
    text: str,
) -> _Training:
    """Train until the training is over, from the checkpoint where there is one."""
    module = _Training(inputs, part, config)
    if not (checkpoint.exists() and is_over(checkpoint.read_course()["curve"], config)):
        course = Course(config, move if config.devices == 1 else None, text)
        trainer = _trainer(
            config, checkpoint.path.parent, [course], checkpoint, n_devices=config.devices
        )
        _fit(trainer, module, checkpoint)
    return module


def predict_rows(
    inputs: Inputs,
    network: Classifier,
    rows: NDArray[np.intp],
    config: TrainingOptions,
    folder: Path,
) -> NDArray[np.float64]:
    """Return the probability of every class, shape (len(rows), n_classes), on one device."""
    module = _Predicting(network)
    with torch.random.fork_rng(devices=[]), _quiet():
        trainer = _trainer(config, folder, [], n_devices=1)
        with _clean_ends(trainer):
            batches = trainer.predict(module, _loader(inputs, rows, config))
    assert batches is not None
    return torch.cat([batch for batch in batches if isinstance(batch, Tensor)]).numpy()


class _Predicting(pl.LightningModule):
    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def predict_step(self, batch: list[Tensor], number: int) -> Tensor:
        return self.network(batch[0]).double().softmax(1).cpu()


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


def _n_used(n: int, config: TrainingOptions) -> int:
    # Batch normalisation of a single sample is undefined: no device's last batch may be one.
    share = math.ceil(n / config.devices)
    return min(n, (share - 1) * config.devices) if share % config.batch_size == 1 < share else n


def _loader(
    inputs: Inputs,
    rows: NDArray[np.intp],
    config: TrainingOptions,
    augmented: tuple[int, int] | None = None,
    share: tuple[int, int] = (0, 1),
) -> DataLoader[Item]:
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


def _trainer(
    config: TrainingOptions,
    folder: Path,
    callbacks: list[Callback],
    checkpoint: CheckpointFile | None = None,
    *,
    n_devices: int,
) -> pl.Trainer:
    device = devices.resolve_device(config.device)
    if checkpoint is not None:
        callbacks = [
            *callbacks,
            ModelCheckpoint(
                folder,
                filename=checkpoint.path.stem,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            ),
        ]
    named = device.type == "cuda" and device.index is not None
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index] if named and n_devices == 1 else n_devices,
        # The processes end with the training, so that only one process predicts and writes.
        strategy="ddp_spawn" if n_devices > 1 else "auto",
        # Lightning's type is a list of literals; mypy does not see that the table holds them.
        precision=_PRECISIONS[config.precision],  # type: ignore[arg-type]
        max_epochs=config.epochs,
        accumulate_grad_batches=config.accumulate,
        callbacks=callbacks,
        plugins=[] if checkpoint is None else [checkpoint],
        enable_checkpointing=checkpoint is not None,
        # train_dataloader returns the order of a single epoch.
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


def _fit(trainer: pl.Trainer, module: _Training, checkpoint: CheckpointFile) -> None:
    try:
        with _clean_ends(trainer):
            trainer.fit(module, ckpt_path=str(checkpoint.path) if checkpoint.exists() else None)
    except ProcessRaisedException as error:
        # Errors of the processes of several devices arrive as the text of their tracebacks.
        _, ours, message = error.msg.rpartition("\nbottleneck.")
        if not ours:
            raise
        raise UsageError(message.partition(": ")[2].strip()) from None
    except ProcessExitedException as error:
        raise UsageError(
            f"a process of the training was ended ({error.signal_name or error.exit_code}), "
            "perhaps for lack of memory. Finished epochs are kept: repeat the command, with a "
            "smaller --batch-size if it happens again"
        ) from None
    except torch.OutOfMemoryError:
        raise UsageError(
            f"batches of {module.config.batch_size} do not fit into the device's memory; use a "
            "smaller --batch-size, with --accumulate for steps of the same size"
        ) from None


@contextlib.contextmanager
def _clean_ends(trainer: pl.Trainer) -> Iterator[None]:
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        # Lightning turns Ctrl-C and SIGTERM into an exit and disables the signal.
        signal.signal(signal.SIGINT, handler)
        launcher = trainer.strategy.launcher
        if isinstance(launcher, _MultiProcessingLauncher):
            launcher.kill(signal.SIGKILL)  # Python would wait for the other devices' processes.
        raise KeyboardInterrupt from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        # A batch system signals all processes; that of this one may be about to arrive.
        time.sleep(_MOMENT)
        raise UsageError(
            f"a process that loads images ended ({first_line(error)}), which happens when the "
            "memory is full. Finished epochs are kept: repeat the command with fewer --workers"
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Lightning's messages about loggers, workers and devices."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
