"""Weights of ``keras.applications``: legacy HDF5 files, and the differences of their networks."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bottleneck.backbones.layouts import keras_hdf5
from bottleneck.errors import WeightsError

__all__ = ["FAMILIES", "adapt", "read_hdf5", "rename"]

_COUNTED = re.compile(r"^(conv2d|batch_normalization)(?:_v\d+)?(?:_(\d+))?$")
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
_RESNET_EPS = 1.001e-5
# Time limit of parsing: the start of a process, and what a slow machine takes.
_SECONDS, _BYTES_PER_SECOND = 30.0, 5_000_000


def read_hdf5(data: bytes, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a legacy Keras weight file.

    Parameters
    ----------
    data : bytes
        An ``.h5`` file that ``save_weights`` of Keras 1 or 2, or ``save`` of Keras 2 or 3, wrote.
    path : Path
        The file, for messages.

    Returns
    -------
    dict of str to Tensor
        ``LAYER.weight``, ``LAYER.bias``, ``LAYER.running_mean``, ``LAYER.running_var``, with the
        dimensions of kernels in torch's order. Layers that Keras numbers in order of creation
        (``conv2d_7``) are renumbered from 0, since these numbers depend on the layers that were
        created earlier.

    Raises
    ------
    WeightsError
        If the file is damaged, or in another layout.
    """
    layers = _read_layers(data, path)
    first: dict[str, int] = {}
    for name, arrays in layers.items():
        counted = _COUNTED.match(name)
        if counted and arrays:
            number = int(counted[2] or 0)
            first[counted[1]] = min(first.get(counted[1], number), number)
    state: dict[str, Tensor] = {}
    for name, arrays in layers.items():
        counted = _COUNTED.match(name)
        if counted and arrays:
            name = f"{counted[1]}_{int(counted[2] or 0) - first[counted[1]]}"
        for leaf, array in _named(arrays).items():
            state[f"{name}.{leaf}"] = torch.from_numpy(np.ascontiguousarray(array))
    if not state:
        raise WeightsError(f"{path} contains no weights")
    return state


def _read_layers(data: bytes, path: Path) -> dict[str, list[np.ndarray]]:
    """Parse the bytes in a separate process: see keras_hdf5.py."""
    limit = _SECONDS + len(data) / _BYTES_PER_SECOND
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-P",
                keras_hdf5.__file__,
                f"{math.ceil(limit)}",
                f"{os.getpid()}",
            ],
            input=data,
            capture_output=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WeightsError(
            f"{path} is damaged: HDF5 did not finish reading it within {limit:.0f} seconds"
        ) from None
    if done.returncode < 0:
        raise WeightsError(f"{path} is damaged: it makes HDF5 crash")
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise WeightsError(f"{path} cannot be read: {last}")
    place = done.stdout.index(b"\n") + 1
    answer = json.loads(done.stdout[:place])
    if "problem" in answer:
        raise WeightsError(f"{path} {answer['problem']}")
    layers: dict[str, list[np.ndarray]] = {}
    for name, shapes in answer["layers"]:
        layers[name] = []
        for shape in shapes:
            values = np.frombuffer(done.stdout, "<f4", math.prod(shape), place)
            layers[name].append(values.reshape(shape).copy())
            place += values.nbytes
    return layers


def _named(arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    # By order, as in Keras itself: the names in the file changed between versions.
    if arrays and arrays[0].ndim == 4:
        kernel, *bias = arrays
        return {"weight": kernel.transpose(3, 2, 0, 1)} | ({"bias": bias[0]} if bias else {})
    if arrays and arrays[0].ndim == 2:
        kernel, *bias = arrays
        return {"weight": kernel.T} | ({"bias": bias[0]} if bias else {})
    if len(arrays) == 3:  # BatchNorm without gamma
        arrays = [np.ones_like(arrays[0]), *arrays]
    # Missing arrays are reported later, when names are compared with the network's.
    return dict(zip(_BATCH_NORM, arrays, strict=False))


def rename(state: Mapping[str, Tensor], network: nn.Module, architecture: str) -> dict[str, Tensor]:
    """Return the tensors of a file under their names in a timm network."""
    modules = FAMILIES[architecture](network)
    renamed = {}
    for key, tensor in state.items():
        layer, _, leaf = key.rpartition(".")
        renamed[f"{modules.get(layer, layer)}.{leaf}"] = tensor
    return renamed


def _vgg(network: nn.Module) -> dict[str, str]:
    modules, block, conv = {}, 1, 1
    for index, module in network.get_submodule("features").named_children():
        if isinstance(module, nn.Conv2d):
            modules[f"block{block}_conv{conv}"] = f"features.{index}"
            conv += 1
        elif isinstance(module, nn.MaxPool2d):
            block, conv = block + 1, 1
    return modules


def _resnet(network: nn.Module) -> dict[str, str]:
    modules = {"conv1_conv": "conv1", "conv1_bn": "bn1"}
    for path, module in network.named_modules():
        match = re.match(r"layer(\d)\.(\d+)\.(?:(conv|bn)(\d)|downsample\.(\d))$", path)
        if match and isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            stage, block, kind, number, shortcut = match.groups()
            kind, number = kind or ("conv", "bn")[int(shortcut)], number or "0"
            modules[f"conv{int(stage) + 1}_block{int(block) + 1}_{number}_{kind}"] = path
    return modules


def _densenet(network: nn.Module) -> dict[str, str]:
    modules = {"bn": "features.norm5"}
    for separator in "/_":  # Older files use the slash.
        modules[f"conv1{separator}conv"] = "features.conv0"
        modules[f"conv1{separator}bn"] = "features.norm0"
    for path, _ in network.named_modules():
        if match := re.match(r"features\.denseblock(\d)\.denselayer(\d+)\.(norm|conv)(\d)$", path):
            stage, block, kind, number = match.groups()
            layer = f"{int(number) - 1}_bn" if kind == "norm" else f"{number}_conv"
            modules[f"conv{int(stage) + 1}_block{block}_{layer}"] = path
        elif match := re.match(r"features\.transition(\d)\.(norm|conv)$", path):
            kind = "bn" if match[2] == "norm" else "conv"
            modules[f"pool{int(match[1]) + 1}_{kind}"] = path
    return modules


def _inception(network: nn.Module) -> dict[str, str]:
    # Keras creates its convolutions in the order in which timm defines them.
    units = [path for path, module in network.named_modules() if _is_unit(module)]
    modules = {}
    for number, path in enumerate(units):
        modules[f"conv2d_{number}"] = f"{path}.conv"
        modules[f"batch_normalization_{number}"] = f"{path}.bn"
    return modules


def _inception_resnet(network: nn.Module) -> dict[str, str]:
    modules = _inception(network)
    # These have names of their own; the last unit is the last one that Keras numbers.
    modules |= {"conv_7b": "conv2d_7b.conv", "conv_7b_bn": "conv2d_7b.bn"}
    for stage, kind in (("repeat", "block35"), ("repeat_1", "block17"), ("repeat_2", "block8")):
        for number, _ in enumerate(network.get_submodule(stage).children(), start=1):
            modules[f"{kind}_{number}_conv"] = f"{stage}.{number - 1}.conv2d"
    return modules | {"block8_10_conv": "block8.conv2d"}


def _is_unit(module: nn.Module) -> bool:
    return isinstance(getattr(module, "conv", None), nn.Conv2d) and hasattr(module, "bn")


FAMILIES: dict[str, Callable[[nn.Module], dict[str, str]]] = {
    "vgg16": _vgg,
    "resnet50": _resnet,
    "densenet121": _densenet,
    "inception_v3": _inception,
    "inception_resnet_v2": _inception_resnet,
}


def adapt(network: nn.Module, architecture: str) -> None:
    """Change a timm network in place so that it computes the same as Keras's network."""
    if architecture == "resnet50":
        _bias_and_stride(network)
    if architecture in ("resnet50", "densenet121"):
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = _RESNET_EPS
    if architecture == "inception_v3":
        for path, module in network.named_modules():
            if path.endswith("branch_pool"):
                module.register_forward_pre_hook(_without_padding)


def _bias_and_stride(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            bias = torch.zeros(module.out_channels, device=module.weight.device)
            module.bias = nn.Parameter(bias, requires_grad=False)
        conv1, conv2 = getattr(module, "conv1", None), getattr(module, "conv2", None)
        if isinstance(conv1, nn.Conv2d) and isinstance(conv2, nn.Conv2d):
            conv1.stride, conv2.stride = conv2.stride, conv1.stride


def _without_padding(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    # The preceding average pooling includes the zeros of the padding, Keras's does not. Divide by
    # the fraction of each window that is inside the image.
    x = inputs[0]
    inside = functional.avg_pool2d(torch.ones_like(x[:1, :1]), kernel_size=3, stride=1, padding=1)
    return x / inside
