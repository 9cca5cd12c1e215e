"""A program that reads a legacy Keras weight file: ``keras_hdf5.py SECONDS PARENT < FILE``.

It runs in a process of its own, because damaged bytes can make HDF5 loop endlessly or crash. It
imports nothing else of the package, as these imports would take longer than the reading. It
writes one line of JSON to stdout: either ``layers``, a list of names with the shapes of their
arrays, followed by the arrays as float32; or ``problem``, a text that continues a sentence
beginning with the file's name. It takes the bytes, and not the name, of the file: these bytes
were hashed, and the file may change. It ends with the process PARENT.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any

import h5py
import numpy as np

# Compressed or 16-bit values take a few times as many bytes in memory as in the file.
_MAX_RATIO = 8
_SPARE = 1 << 30
_PR_SET_PDEATHSIG = 1

Layers = dict[str, list[np.ndarray]]


def read_layers(data: bytes) -> Layers | str:
    """Return the arrays of each layer in the order of the file, or the problem as text."""
    try:
        with h5py.File(h5py.h5f.open_file_image(data)) as file:
            # A saved model has its weights one level deeper.
            group = file.get("model_weights", file)
            names = _attribute(group, "layer_names")
            if names is None:
                return _foreign(group)
            budget = _MemoryBudget(file, len(data))
            return {name: _arrays(group[name], budget) for name in names}
    # Damaged files may raise errors of any type.
    except Exception as error:  # noqa: BLE001
        return f"is damaged, or not a Keras weight file: {error}"


class _MemoryBudget:
    """The number of bytes that the arrays of a file may still take."""

    def __init__(self, file: h5py.File, size: int) -> None:
        self._file = _number(file)
        self.left = _MAX_RATIO * size

    def take(self, member: Any) -> np.ndarray:
        # A link may lead to another file.
        if (
            not isinstance(member, h5py.Dataset)
            or _number(member) != self._file
            or member.is_virtual
            or member.external
        ):
            raise ValueError("a weight is not an array in this file")
        if member.dtype.kind not in "fiu":
            raise ValueError(f"a weight has the type {member.dtype}")
        self.left -= 4 * member.size
        if self.left < 0:
            raise ValueError(f"its weights take over {_MAX_RATIO} times as many bytes as the file")
        return np.asarray(member, dtype="<f4")


def _number(member: Any) -> int:
    """Return HDF5's number of the open file that contains an object."""
    return int(h5py.h5o.get_info(member.id).fileno)


def _attribute(group: Any, name: str) -> list[str] | None:
    # Keras splits a list that is too long for a single HDF5 attribute.
    if name in group.attrs:
        values = list(group.attrs[name])
    elif f"{name}0" in group.attrs:
        values, n = [], 0
        while f"{name}{n}" in group.attrs:
            values.extend(group.attrs[f"{name}{n}"])
            n += 1
    else:
        return None
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


def _arrays(group: Any, budget: _MemoryBudget) -> list[np.ndarray]:
    names = _attribute(group, "weight_names") or []
    return [budget.take(group[name]) for name in names]


def _foreign(group: Any) -> str:
    if "layers" in group or "_layer_checkpoint_dependencies" in group:
        return (
            "is in the layout of Keras 3 (.weights.h5), whose names do not identify the layers. "
            "Load it in Keras and save the whole model: model.save('FILE.h5')"
        )
    return "is an HDF5 file without Keras weights: it has no layer_names"


def _limit(size: int, seconds: int) -> None:
    # Windows has no such limits. The time ends this process where nobody is left to end it.
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        bound = _SPARE + 2 * (_MAX_RATIO + 1) * size
        resource.setrlimit(resource.RLIMIT_AS, (bound, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def _end_with(parent: int) -> None:
    # No thread could watch: HDF5 does not release the interpreter.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # They are for the parent.
        if hasattr(signal, name):
            signal.signal(signal.Signals[name], signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.name != "nt" and os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    """Write the answer to stdout."""
    _end_with(int(sys.argv[2]))
    data = sys.stdin.buffer.read()
    _limit(len(data), int(sys.argv[1]))
    layers = read_layers(data)
    if isinstance(layers, str):
        answer: dict[str, Any] = {"problem": layers}
        arrays = []
    else:
        answer = {"layers": [(name, [a.shape for a in made]) for name, made in layers.items()]}
        arrays = [array for made in layers.values() for array in made]
    out = sys.stdout.buffer
    out.write(json.dumps(answer).encode() + b"\n")
    for array in arrays:
        out.write(np.ascontiguousarray(array).data)


if __name__ == "__main__":
    main()
