"""What a device is, can do, and says when it fails."""

from __future__ import annotations

import math
import os

import torch

from bottleneck.backbones.recipe import Precision
from bottleneck.errors import DeviceError, UsageError, first_line
from bottleneck.plurals import counted

__all__ = [
    "MOST_WORKERS",
    "default_batch_size",
    "default_workers",
    "describe_device",
    "is_out_of_memory",
    "lanes_of",
    "native_precision",
    "report_failure",
    "resolve_device",
]

# On more cores than this, lanes of one thread each would need more memory than they are worth.
_MOST_LANES = 8
# Each may have a process, which takes memory; and so many make 7,000 pictures a second.
MOST_WORKERS = 24


def resolve_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:N" into a device that exists.

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
            f"there is no device '{name}': this machine has "
            f"{counted(torch.cuda.device_count(), 'CUDA device')}. `bottleneck doctor` says what "
            "torch sees"
        )
    return torch.device(name)


def native_precision(device: torch.device) -> Precision:
    """Return bf16 where the hardware computes in it, else fp32."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    # The functions are private in torch, and absent from some of its versions.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return "bf16" if any(getattr(torch.cpu, p, bool)() for p in probes) else "fp32"


def default_batch_size(device: torch.device) -> int:
    """Return a batch size that fills the device and fits most."""
    return 128 if device.type == "cuda" else 16


def default_workers() -> int:
    """Return how many threads decode: one for each core of this process, 24 at most."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    return min(os.cpu_count() or 1, MOST_WORKERS)


def lanes_of(device: torch.device, threads: int | None = None) -> int:
    """Return how many batches are computed at a time, on a CPU by as many threads in all."""
    if device.type == "cuda":
        return 2
    threads = threads or torch.get_num_threads()
    return threads // math.ceil(threads / _MOST_LANES)


def describe_device(device: torch.device) -> str:
    """Name a device for the record."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})"


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error of torch says that the memory was too small."""
    # On a CPU, and in the libraries of a GPU, torch has no class of its own for it.
    said = ("out of memory", "can't allocate memory", "not enough memory", "_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in said)


def report_failure(error: RuntimeError, device: torch.device) -> None:
    """Raise the error of a GPU in words of its own; nothing, if it is none.

    Raises
    ------
    DeviceError
        If the device failed.
    """
    # torch has had a class for it since 2.8; its libraries' messages begin with their names.
    kind = getattr(torch, "AcceleratorError", ())
    if isinstance(error, kind) or str(error).startswith(("CUDA", "cuDNN", "CUBLAS", "NVRTC")):
        raise DeviceError(
            f"the device {device} failed: {first_line(error)}. What was finished "
            "is kept, and the same command goes on from there; `nvidia-smi` says whether the "
            "device still answers, and --device names another one"
        ) from None
