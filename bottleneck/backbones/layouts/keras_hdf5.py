"""Reads a legacy Keras weight file, as a program of its own: ``python -P keras_hdf5.py FILE``.

Damaged bytes can make HDF5 walk in a circle or crash, and nothing inside of a process stops
that. It imports nothing of the package, whose own imports take longer than the reading. To
stdout goes a line of JSON: ``layers``, a list of names and their arrays' shapes, after which
the arrays follow as float32; or ``problem``, a text that goes on after the file's name.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# In memory a file may become a few times as large: compressed floats, numbers of 16 bits.
_MAX_RATIO = 8
_SPARE = 1 << 30

Layers = dict[str, list[np.ndarray]]


def read_layers(path: Path) -> Layers | str:
    """Return the arrays of every layer, in the file's order; or what stands against it."""
    try:
        with h5py.File(path, "r") as file:
            # A saved model keeps its weights one level down.
            group = file.get("model_weights", file)
            names = _attribute(group, "layer_names")
            if names is None:
                return _foreign(group)
            room = _Room(path)
            return {name: _arrays(group[name], room) for name in names}
    # HDF5 names damage in errors of any type, and so does what it read.
    except Exception as error:  # noqa: BLE001
        return f"is damaged, or no Keras weight file: {error}"


class _Room:
    """How many bytes a file may still become."""

    def __init__(self, path: Path) -> None:
        self._file = str(path)
        self.left = _MAX_RATIO * path.stat().st_size

    def take(self, member: Any) -> np.ndarray:
        # A link may lead into another file.
        if (
            not isinstance(member, h5py.Dataset)
            or member.file.filename != self._file
            or member.is_virtual
            or member.external
        ):
            raise ValueError("a weight is no array of this file")
        if member.dtype.kind not in "fiu":
            raise ValueError(f"a weight is of the type {member.dtype}")
        self.left -= 4 * member.size
        if self.left < 0:
            raise ValueError(f"its weights are more than {_MAX_RATIO} times as many bytes as it is")
        return np.asarray(member, dtype="<f4")


def _attribute(group: Any, name: str) -> list[str] | None:
    # Keras splits a list that is too long for one HDF5 attribute.
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


def _arrays(group: Any, room: _Room) -> list[np.ndarray]:
    names = _attribute(group, "weight_names") or []
    return [room.take(group[name]) for name in names]


def _foreign(group: Any) -> str:
    if "layers" in group or "_layer_checkpoint_dependencies" in group:
        return (
            "is in the layout of Keras 3 (.weights.h5), whose names tell nothing of the "
            "network. Load it in Keras and save the whole model: model.save('FILE.h5')"
        )
    return "is an HDF5 file, but not one of Keras's weights: it has no layer_names"


def _limit_memory(path: Path) -> None:
    # Windows knows no such limit.
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        bound = _SPARE + 2 * _MAX_RATIO * path.stat().st_size
        resource.setrlimit(resource.RLIMIT_AS, (bound, resource.RLIM_INFINITY))


def main() -> None:
    """Answer on stdout."""
    path = Path(sys.argv[1])
    _limit_memory(path)
    layers = read_layers(path)
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
