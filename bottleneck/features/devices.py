"""Devices: their names, their defaults and their errors."""

from __future__ import annotations

import math
import os

import torch

from bottleneck.backbones.recipe import Precision
from bottleneck.errors import DeviceError, UsageError, first_line
from bottleneck.text.plurals import counted

__all__ = [
    "MAX_WORKERS",
    "default_batch_size",
    "default_workers",
    "describe_device",
    "is_out_of_memory",
    "lanes_of",
    "native_precision",
    "report_failure",
    "resolve_device",
]

# On more cores than this, lanes of one thread each would need too much memory.
_MAX_LANES = 8
# Each loading thread may have a process, which takes memory. So many load 7,000 images a second.
MAX_WORKERS = 24


def resolve_device(name: str) -> torch.device:
    """Return the device of a name.

    Parameters
    ----------
    name : str
        "auto", "cpu", "cuda" or "cuda:N". "auto" is the first CUDA device if there is one.

    Raises
    ------
    UsageError
        If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise UsageError(f"unknown device '{name}'. Known: auto, cpu, cuda, cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"there is no device '{name}': torch finds "
            f"{counted(torch.cuda.device_count(), 'CUDA device')} on this machine. "
            "`bottleneck doctor` shows what it finds"
        )
    return torch.device(name)


def native_precision(device: torch.device) -> Precision:
    """Return "bf16" if the hardware computes in it, else "fp32"."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    # These functions are private in torch, and missing in some of its versions.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return "bf16" if any(getattr(torch.cpu, p, bool)() for p in probes) else "fp32"


def default_batch_size(device: torch.device) -> int:
    """Return a batch size that keeps the device busy and fits most memories."""
    return 128 if device.type == "cuda" else 16


def default_workers() -> int:
    """Return the number of loading threads: one for each core of this process, 24 at most."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MAX_WORKERS)
    return min(os.cpu_count() or 1, MAX_WORKERS)


def lanes_of(device: torch.device, threads: int | None = None) -> int:
    """Return the number of batches that are computed at a time, on a CPU by ``threads`` in all."""
    if device.type == "cuda":
        return 2
    threads = threads or torch.get_num_threads()
    return threads // math.ceil(threads / _MAX_LANES)


def describe_device(device: torch.device) -> str:
    """Return the name of a device for the provenance."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})"


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error of torch says that the memory was too small."""
    # On a CPU, and in the libraries of a GPU, torch has no class of its own for it.
    texts = ("out of memory", "can't allocate memory", "not enough memory", "_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in texts)


def report_failure(error: RuntimeError, device: torch.device) -> None:
    """Raise a ``DeviceError`` if an error comes from a GPU; do nothing if it does not.

    Raises
    ------
    DeviceError
        If the device failed.
    """
    # torch has had a class for it since 2.8; its libraries' messages begin with their names.
    kind = getattr(torch, "AcceleratorError", ())
    if isinstance(error, kind) or str(error).startswith(("CUDA", "cuDNN", "CUBLAS", "NVRTC")):
        raise DeviceError(
            f"the device {device} failed: {first_line(error)}. Finished work is kept, and the "
            "same command continues from there. `nvidia-smi` shows whether the device still "
            "answers; --device chooses another one"
        ) from None
