"""Hashes of a network that is not in the catalogue: of its tensors, and of its code and settings.

Two networks of equal hashes compute the same rows. What cannot be read is refused, never skipped.
"""

from __future__ import annotations

import copyreg
import dataclasses
import functools
import hashlib
import logging
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from bottleneck.backbones.own.code_sources import find_package, global_names, read_source
from bottleneck.errors import UsageError

__all__ = [
    "TensorsDigest",
    "all_tensors",
    "class_of",
    "digest_tensors",
    "fingerprint_code",
    "package_of",
    "refuse_unusual",
    "versions_of",
]

# Names of a class that say nothing about what its objects compute. What ``__init__`` leaves behind
# is in the attributes and tensors of the object.
_SKIPPED = {
    *vars(types.new_class("_", (object,))),
    *("__init__", "__annotations__", "__annotate_func__", "__annotate__", "__annotations_cache__"),
    *("__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl", "__slots__"),
    *("__orig_bases__", "__parameters__", "__match_args__"),
}
_GENERATED = frozenset(vars(dataclasses.make_dataclass("_", [], order=True, frozen=True)))
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented))
_BUILT_IN = (
    *(types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType),
    *(types.MethodWrapperType, types.GetSetDescriptorType, types.MemberDescriptorType),
    np.ufunc,
)
_OF_MODULE = frozenset(vars(nn.Module()))
# Attributes of timm and transformers that say where weights came from, such as a path.
_ORIGIN = frozenset({"pretrained_cfg", "default_cfg", "name_or_path", "_name_or_path"})
# A flag of classes that are not a static part of Python.
_HEAP_TYPE = 1 << 9
# Values that the settings of one network may hold.
_MOST = 1_000_000


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over the names, shapes, types and values of tensors.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Dense tensors by name; the order does not matter.
    """
    digest = hashlib.sha256()
    for key, tensor in sorted(tensors.items()):
        kind = "" if tensor.dtype == torch.float32 else f" {tensor.dtype}"
        digest.update(f"{key} {tuple(tensor.shape)}{kind}\n".encode())
        digest.update(_bytes_of(tensor))
    return digest.hexdigest()


def _bytes_of(tensor: Tensor) -> Any:
    flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def all_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of a network by name, also those not in its state dict.

    Without the counters of batch normalisation, which no output depends on.
    """
    tensors: dict[str, Tensor] = {}
    for name, module in network.named_modules(remove_duplicate=False):
        for own, tensor in (*module._parameters.items(), *module._buffers.items()):
            counter = own == "num_batches_tracked"
            if tensor is not None and not (
                counter and isinstance(module, nn.modules.batchnorm._NormBase)
            ):
                tensors[f"{name}.{own}".lstrip(".")] = tensor
    return tensors


def versions_of(network: nn.Module) -> dict[str, tuple[int, int, int]]:
    """Return what changes when a tensor of a network is replaced, or changed in place."""
    return {key: _version_of(tensor) for key, tensor in all_tensors(network).items()}


def _version_of(tensor: Tensor) -> tuple[int, int, int]:
    # torch does not count changes through ``tensor.data``: the sum of the bits notices them.
    flat = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    words = flat.view(torch.int32 if flat.element_size() % 4 == 0 else torch.uint8)
    counted = 0 if tensor.is_inference() else tensor._version
    return id(tensor), counted, int(words.sum(dtype=torch.int64))


class TensorsDigest:
    """The digest of a network's tensors, computed again after one was replaced or changed.

    Parameters
    ----------
    network : nn.Module
        The network.
    every : bool
        Whether tensors that are not in its state dict are included.
    check : callable
        Called before a digest is computed; it raises an error where a tensor cannot be used.
    """

    def __init__(self, network: nn.Module, *, every: bool, check: Callable[[], None]) -> None:
        self._network, self._every, self._check = network, every, check
        self._versions: dict[str, tuple[int, int, int]] = {}
        self._value = ""

    @property
    def value(self) -> str:
        """The sha256, as 64 hexadecimal digits."""
        versions = versions_of(self._network)
        if self._versions != versions or not self._value:
            self._check()
            tensors = all_tensors(self._network)
            if not self._every:
                kept = self._network.state_dict().keys() & tensors.keys()
                tensors = {key: tensors[key] for key in kept}
            self._versions, self._value = versions, digest_tensors(tensors)
        return self._value


def class_of(module: nn.Module) -> type:
    """Return the class of a module as its author wrote it."""
    if isinstance(module, fx.GraphModule):  # Each has a class of its own.
        return fx.GraphModule
    return type(module).__mro__[1] if parametrize.is_parametrized(module) else type(module)


def package_of(cls: type) -> tuple[str, str] | None:
    """Return the name and version of the package of a class, as ``find_package`` does."""
    home = sys.modules.get(cls.__module__)
    made_in_python = bool(cls.__flags__ & _HEAP_TYPE)
    if made_in_python and getattr(home, "__file__", None) is None:
        return None  # Made by exec, or in a notebook.
    return find_package(cls.__module__, getattr(home, "__file__", None))


def fingerprint_code(network: nn.Module) -> str:
    """Return the sha256 over the code of a network and over its settings.

    Included are the names and classes of all modules; their attributes, by value; and of classes
    that belong to no installed package, the source of their methods, of the functions that these
    call, and the global values that they read.

    Raises
    ------
    UsageError
        If a part of these cannot be read.
    """
    return _CodeDigest(network).hexdigest


class _CodeDigest:
    """A sha256 that is fed with Python objects."""

    def __init__(self, network: nn.Module) -> None:
        self._hash = hashlib.sha256()
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []  # An id is unique only while its object lives.
        self._count = 0
        self._registered = {id(tensor) for tensor in all_tensors(network).values()}
        self._add(network, "the network")
        self.hexdigest = self._hash.hexdigest()

    def _write(self, *words: object) -> None:
        self._hash.update(f"{' '.join(map(str, words))}\n".encode(errors="surrogatepass"))

    def _add(self, value: Any, where: str) -> None:
        self._count += 1
        if self._count > _MOST:
            raise UsageError(
                f"{where} holds more than {_MOST:,} values, too many for settings of a network: "
                "remove what the computation does not need"
            )
        if isinstance(value, _PLAIN) and type(value) in _PLAIN:
            self._write(type(value).__name__, repr(value))
        elif isinstance(value, tuple) and type(value) is tuple:
            self._write("tuple", len(value))
            self._items(value, where)
        elif isinstance(value, _BUILT_IN):
            self._write("built-in", getattr(value, "__module__", ""), value.__name__)
        elif isinstance(value, torch.device):
            self._write("device")  # Where a network is computed does not change its rows.
        elif isinstance(value, torch.dtype | torch.layout | torch.memory_format):
            self._write(value)
        elif not self._known(value):
            self._add_object(value, where)

    def _items(self, values: Any, where: str) -> None:
        for number, value in enumerate(values):
            self._add(value, f"{where}[{number}]")

    def _known(self, value: object) -> bool:
        number = self._numbers.setdefault(id(value), len(self._kept))
        if number < len(self._kept):
            self._write("again", number)
            return True
        self._kept.append(value)
        return False

    def _add_object(self, value: Any, where: str) -> None:
        if isinstance(value, nn.Module):
            self._module(value, where)
        elif isinstance(value, Tensor):
            refuse_unusual(value, where)
            self._write("tensor", value.dtype, tuple(value.shape))
            self._hash.update(_bytes_of(value))
        elif isinstance(value, np.ndarray) and value.dtype != object:
            self._write("array", value.dtype.str, value.shape)
            self._hash.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, type):
            self._class(value, where)
        elif isinstance(value, types.FunctionType):
            self._function(value, where)
        elif isinstance(value, types.MethodType):
            self._add(value.__func__, where)
            self._add(value.__self__, where)
        elif isinstance(value, types.ModuleType):
            self._write("module", value.__name__, _package_of_module(value))
        elif isinstance(value, logging.Logger):
            self._write("logger", value.name)
        elif isinstance(value, staticmethod | classmethod):
            self._add(value.__func__, where)
        elif isinstance(value, property):
            self._items((value.fget, value.fset), where)
        elif isinstance(value, functools.cached_property):
            self._add(value.func, where)
        elif isinstance(value, set | frozenset) and type(value) in (set, frozenset):
            self._write(type(value).__name__, *sorted(repr(one) for one in value))
        elif isinstance(value, list | dict) and type(value) in (list, dict):
            self._write(type(value).__name__, len(value))
            self._items(value if isinstance(value, list) else value.items(), where)
        else:
            self._reduced(value, where)

    def _reduced(self, value: Any, where: str) -> None:
        """Add an object of any other class by what a pickle would hold."""
        try:
            reducer = copyreg.dispatch_table.get(type(value))
            state = value.__reduce_ex__(4) if reducer is None else reducer(value)
        except Exception:  # noqa: BLE001  # Objects refuse to be pickled in any way.
            raise UsageError(
                f"{where} holds a {type(value).__name__}, which cannot be read: it may change what "
                "the network computes. Take it out of the network, or replace it by plain values"
            ) from None
        if isinstance(state, str):
            self._write("object", type(value).__module__, state)
            # A function that is wrapped, for example by functools.lru_cache.
            self._add(getattr(value, "__wrapped__", None), where)
            return
        made, arguments, *others = state
        self._class(type(value), where)
        self._add(made, where)
        self._add(arguments, where)
        for other in others:
            if isinstance(other, dict) and all(isinstance(name, str) for name in other):
                for name in sorted(other.keys() - _ORIGIN):
                    self._write(name)
                    self._add(other[name], f"{where}.{name}")
            elif isinstance(other, Iterator):
                self._items(other, where)
            else:
                self._add(other, where)

    def _module(self, module: nn.Module, where: str) -> None:
        cls = class_of(module)
        self._class(cls, where)
        graph = isinstance(module, fx.GraphModule)
        if graph:
            self._write(module.code)
        for name, value in sorted(vars(module).items()):
            if name in _OF_MODULE | _ORIGIN or (graph and name.startswith("_")):
                continue
            self._write(name)
            self._add(value, f"attribute '{name}' of {where}")
        for kind in ("_parameters", "_buffers"):
            # Which tensors are one is a setting; their values are hashed with the weights.
            for name, tensor in getattr(module, kind).items():
                self._write(kind, name)
                if id(tensor) in self._registered:
                    self._known(tensor)
                else:  # None, or of a module that the network has in a list.
                    self._add(tensor, f"'{name}' of {where}")
        for name, child in module._modules.items():
            self._write("module", name)
            place = name if where == "the network" else f"{where.removeprefix('layer ')}.{name}"
            self._add(child, f"layer {place}")

    def _class(self, cls: type, where: str) -> None:
        if (package := package_of(cls)) is not None:
            self._write("class", cls.__module__, cls.__qualname__, *package)
            return
        if self._known(cls):
            return
        self._write("class", cls.__module__, cls.__qualname__)
        for base in cls.__mro__[1:]:
            self._add(base, where)
        skipped = {*_SKIPPED, *(_GENERATED if dataclasses.is_dataclass(cls) else ())}
        if issubclass(cls, tuple):
            skipped |= {"__new__", "_make", "_replace", "__getnewargs__", "_asdict", "__repr__"}
        for name, value in sorted(vars(cls).items()):
            if name not in skipped:
                self._write(name)
                self._add(value, f"{cls.__qualname__}.{name}")

    def _function(self, function: Any, where: str) -> None:
        code = function.__code__
        self._write("function", function.__module__, function.__qualname__)
        wrapped = getattr(function, "__wrapped__", None)
        package = find_package(function.__module__, code.co_filename)
        if package is not None:
            self._write(*package, code.co_firstlineno)
            if wrapped is not None:  # A decorator of a library, on a function of one's own.
                self._add(wrapped, where)
                return
        else:
            self._write(read_source(function, where))
        self._add(function.__defaults__, where)
        self._add(function.__kwdefaults__, where)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            if name != "__class__" and not (package is not None and wrapped is not None):
                self._add(_content(cell), f"'{name}' in {function.__qualname__}")
        if package is None:
            self._globals(function)

    def _globals(self, function: Any) -> None:
        """Add the global values and functions that a function of one's own uses."""
        read, attributes = global_names(function.__code__)
        for name in sorted(read & function.__globals__.keys()):
            value = function.__globals__[name]
            self._write("global", name)
            self._add(value, f"the global '{name}'")
            self._attributes(value, attributes, name)

    def _attributes(self, module: Any, attributes: set[str], where: str) -> None:
        """Add what a function reads of a module of one's own."""
        if not isinstance(module, types.ModuleType) or _package_of_module(module) is not None:
            return
        for attribute in sorted(attributes & vars(module).keys()):
            value = vars(module)[attribute]
            self._add(value, f"{where}.{attribute}")
            self._attributes(value, attributes - {attribute}, f"{where}.{attribute}")


def refuse_unusual(tensor: Tensor, where: str) -> None:
    """Raise UsageError for a tensor that has no plain values: quantised, sparse, lazy, meta."""
    if nn.parameter.is_lazy(tensor):
        kind, advice = "not initialised yet", "run a batch through the network first"
    elif tensor.is_meta:
        kind, advice = "without values (on the meta device)", "load its weights first"
    elif tensor.is_quantized:
        kind, advice = "quantised", "give the network before it was quantised"
    elif type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
        kind, advice = f"of the class {type(tensor).__name__}", "give a network of plain tensors"
    elif tensor.layout != torch.strided:
        kind, advice = "sparse", "make it dense with to_dense()"
    else:
        return
    raise UsageError(f"{where} is a tensor {kind}, which cannot be hashed: {advice}")


def _package_of_module(module: types.ModuleType) -> tuple[str, str] | None:
    return find_package(module.__name__, getattr(module, "__file__", None))


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # Not filled yet.
        return None
