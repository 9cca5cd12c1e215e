"""Train one network on one fold with Lightning's Trainer."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from numpy.typing import NDArray
from torch import Tensor
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from bottleneck.backbones.layers.embedding import without_tf32
from bottleneck.errors import UsageError, first_line
from bottleneck.features import devices
from bottleneck.finetune.inputs.training_data import Inputs
from bottleneck.finetune.inputs.validation_split import FoldSplit
from bottleneck.finetune.networks.classifier import Classifier
from bottleneck.finetune.training.early_stopping import Course, Curve, Move, best_epoch, is_over
from bottleneck.finetune.training.training_module import (
    Embedding,
    Predicting,
    Training,
    load_batches,
    n_used,
)
from bottleneck.finetune.training_folder.saved_files import DamagedFile
from bottleneck.finetune.training_folder.training_checkpoint import CheckpointFile
from bottleneck.finetune.training_options import TrainingOptions

__all__ = ["embed_rows", "predict_rows", "train_network"]

# In seconds: what lies between the signals that a batch system sends to the processes of a job.
_MOMENT = 0.5
_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


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
    used = n_used(len(part.train), config)
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
) -> Training:
    """Train until the training is over, from the checkpoint where there is one."""
    module = Training(inputs, part, config)
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
    """Return the probability of every class, computed on one device.

    Parameters
    ----------
    inputs : Inputs
        Samples.
    network : Classifier
        What to predict with.
    rows : array of int
        Rows of the samples, in order.
    config : TrainingOptions
        Options, with a precision other than "auto".
    folder : Path
        Where Lightning may write.

    Returns
    -------
    array of float64, shape (len(rows), n_classes)
    """
    if not len(rows):
        return np.empty((0, len(inputs.classes)))
    return _compute(Predicting(network), inputs, rows, config, folder)


def embed_rows(
    inputs: Inputs,
    network: Classifier,
    rows: NDArray[np.intp],
    config: TrainingOptions,
    folder: Path,
) -> NDArray[np.float32]:
    """Return the pooled last map of a network that has one, for rows as in ``predict_rows``.

    Returns
    -------
    array of float32, shape (len(rows), width)
    """
    return _compute(Embedding(network), inputs, rows, config, folder)


def _compute(
    module: Predicting,
    inputs: Inputs,
    rows: NDArray[np.intp],
    config: TrainingOptions,
    folder: Path,
) -> NDArray[Any]:
    # As on new images, fp32 is not rounded to TF32.
    with torch.random.fork_rng(devices=[]), _quiet(), without_tf32():
        trainer = _trainer(config, folder, [], n_devices=1)
        with _clean_ends(trainer):
            batches = trainer.predict(module, load_batches(inputs, rows, config))
    assert batches is not None
    return torch.cat([batch for batch in batches if isinstance(batch, Tensor)]).numpy()


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


def _fit(trainer: pl.Trainer, module: Training, checkpoint: CheckpointFile) -> None:
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
            "smaller --batch-size if this happens again"
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
            # Python would wait for the other devices' processes. Windows has no SIGKILL.
            launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))
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
