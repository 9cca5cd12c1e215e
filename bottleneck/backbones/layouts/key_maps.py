"""How the tensor names of each library and publisher map to the names in our networks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from bottleneck.backbones.encoder import Encoder
from bottleneck.backbones.layouts import keras

__all__ = ["Layout", "layouts_of"]

State = Mapping[str, Tensor]
Rules = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one library names and uses the tensors of an encoder.

    Attributes
    ----------
    name : str
        The library or the publisher.
    rename : callable
        Takes the tensors of a file and a network, and returns the tensors under the names of
        the network. Unknown names are kept.
    anchor : str
        Name of the first tensor, from which a prefix of all names is recognised; "" for the name
        in the network.
    adapt : callable or None
        Changes a timm network in place into the one that the weights were trained in, if the two
        differ in more than names.
    prefix : str
        Pattern of the names that a file puts before all of the network's.
    ignored : str
        Pattern of the names, after the prefix, that belong to no part of the encoder.
    """

    name: str
    rename: Callable[[State, nn.Module], dict[str, Tensor]]
    anchor: str = ""
    adapt: Callable[[nn.Module], None] | None = None
    prefix: str = ".*"
    ignored: str = "$"

    @property
    def variant(self) -> str:
        """The layout's name in a recipe, if its network differs from timm's; else ""."""
        return self.name if self.adapt else ""


def layouts_of(encoder: Encoder) -> tuple[Layout, ...]:
    """Return the layouts in which an encoder's weights exist."""
    return tuple(_MAKERS[name](encoder) for name in encoder.layouts)


def _substituted(*rules: tuple[str, str | Callable[[re.Match[str]], str]]) -> Callable[..., dict]:
    compiled = [(re.compile(pattern), new) for pattern, new in rules]

    def rename(state: State, network: nn.Module) -> dict[str, Tensor]:
        renamed = {}
        for key, tensor in state.items():
            for pattern, new in compiled:
                key = pattern.sub(new, key)
            renamed[key] = tensor
        return renamed

    return rename


def _timm(encoder: Encoder) -> Layout:
    # In Microsoft's own Swin files, and in timm before 0.9, patch merging ends a stage.
    return Layout("timm", _merging_moved if encoder.architecture.startswith("swin") else _same)


def _same(state: State, network: nn.Module) -> dict[str, Tensor]:
    return dict(state)


def _merging_moved(state: State, network: nn.Module) -> dict[str, Tensor]:
    if "layers.0.downsample.reduction.weight" in state:
        return _substituted(_MERGING)(state, network)
    return dict(state)


_MERGING = (r"^layers\.(\d+)\.downsample\.", lambda m: f"layers.{int(m[1]) + 1}.downsample.")


def _torchvision(encoder: Encoder) -> Layout:
    architecture = encoder.architecture
    if architecture.startswith("densenet"):
        # The published file is older than the names in torchvision.
        rules = ((r"(denselayer\d+)\.(norm|conv)\.([12])\.", r"\1.\2\3."),)
        return Layout("torchvision", _substituted(*rules))
    if architecture.startswith("mobilenetv3"):
        return Layout("torchvision", _mobilenet, "features.0.0.weight", _mobilenet_eps)
    if architecture.startswith("swin"):
        return Layout("torchvision", _torchvision_swin, "features.0.0.weight")
    return Layout("torchvision", _same)


def _mobilenet(state: State, network: nn.Module) -> dict[str, Tensor]:
    blocks = [
        (f"blocks.{s}.{b}", block)
        for s, stage in network.get_submodule("blocks").named_children()
        for b, block in stage.named_children()
    ]
    names = {"features.0.0": "conv_stem", "features.0.1": "bn1"}
    for number, (path, block) in enumerate(blocks, start=1):
        if hasattr(block, "conv"):
            names |= {f"features.{number}.0": f"{path}.conv", f"features.{number}.1": f"{path}.bn1"}
            continue
        place = 0
        for n, conv in enumerate((c for c, _ in block.named_children() if "conv" in c), start=1):
            source = f"features.{number}.block"
            names |= {f"{source}.{place}.0": f"{path}.{conv}"}
            names |= {f"{source}.{place}.1": f"{path}.bn{n}"}
            place += 1
            if conv == "conv_dw" and hasattr(block.se, "conv_reduce"):
                names |= {f"{source}.{place}.fc1": f"{path}.se.conv_reduce"}
                names |= {f"{source}.{place}.fc2": f"{path}.se.conv_expand"}
                place += 1
    parts = ((key.rpartition("."), tensor) for key, tensor in state.items())
    return {f"{names.get(module, module)}.{leaf}": tensor for (module, _, leaf), tensor in parts}


def _mobilenet_eps(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3


def _torchvision_swin(state: State, network: nn.Module) -> dict[str, Tensor]:
    renamed = _substituted(
        (r"^features\.0\.0\.", "patch_embed.proj."),
        (r"^features\.0\.2\.", "patch_embed.norm."),
        (r"^features\.([2468])\.", lambda m: f"layers.{int(m[1]) // 2}.downsample."),
        (r"^features\.([1357])\.", lambda m: f"layers.{int(m[1]) // 2}.blocks."),
        (r"\.mlp\.0\.", ".mlp.fc1."),
        (r"\.mlp\.3\.", ".mlp.fc2."),
    )(state, network)
    for key in [k for k in renamed if k.endswith("attn.qkv.bias")]:
        if not hasattr(network.get_submodule("layers.0.blocks.0.attn"), "q_bias"):
            break
        # Version 2 has no bias of the keys; torchvision sets this third to zero at run time.
        query, _, value = renamed.pop(key).chunk(3)
        stem = key.removesuffix("qkv.bias")
        renamed |= {f"{stem}q_bias": query, f"{stem}v_bias": value}
    return renamed


def _transformers(encoder: Encoder) -> Layout:
    return Layout("transformers", _swin, "embeddings.patch_embeddings.projection.weight")


# The names before transformers 5, and those since.
_SWIN_RULES: Rules = (
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.layers\.", "layers."),
    _MERGING,
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.attention\.(self\.)?(q|k|v)(uery|ey|alue|_proj)\.", r".attn.\2."),
    (r"\.attention\.(self\.|relative_position_bias\.)?", ".attn."),
    (r"\.continuous_position_bias_mlp\.", ".cpb_mlp."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
)


def _swin(state: State, network: nn.Module) -> dict[str, Tensor]:
    renamed = _substituted(*_SWIN_RULES)(state, network)
    separate = hasattr(network.get_submodule("layers.0.blocks.0.attn"), "q_bias")
    for key in [k for k in renamed if re.search(r"\.attn\.q\.(weight|bias)$", k)]:
        stem, _, leaf = key.rpartition("q.")
        if leaf == "bias" and separate:
            renamed[f"{stem}q_bias"] = renamed.pop(key)
            if f"{stem}v.bias" in renamed:
                renamed[f"{stem}v_bias"] = renamed.pop(f"{stem}v.bias")
            continue
        parts = [f"{stem}{part}.{leaf}" for part in "qkv"]
        if all(part in renamed for part in parts):
            renamed[f"{stem}qkv.{leaf}"] = torch.cat([renamed.pop(part) for part in parts])
    return renamed


def _radimagenet(encoder: Encoder) -> Layout:
    # The file is of Sequential(*children) of the torchvision model: children are named by number.
    if encoder.architecture == "densenet121":
        rename = _substituted((r"^0\.", "features."), (r"^1\.", "classifier."))
        return Layout("radimagenet", rename, "0.conv0.weight", _without_last_relu)
    if encoder.architecture == "inception_v3":
        rename = _substituted((r"^(\d+)\.", lambda m: f"{_INCEPTION.get(m[1], m[1])}."))
        return Layout("radimagenet", rename, "0.conv.weight")
    rename = _substituted(
        (r"^0\.", "conv1."), (r"^1\.", "bn1."), (r"^([4-7])\.", lambda m: f"layer{int(m[1]) - 3}.")
    )
    return Layout("radimagenet", rename, "0.weight")


# 3 and 6 are pooling layers.
_INCEPTION = dict(
    zip(
        ("0", "1", "2", "4", "5", *map(str, range(7, 18))),
        (
            *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
            *("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d"),
            *("Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c"),
        ),
        strict=True,
    )
)


def _without_last_relu(network: nn.Module) -> None:
    # torchvision applies this ReLU between two children, so a Sequential of them does not.
    network.get_submodule("features.norm5").act = nn.Identity()


def _keras(encoder: Encoder) -> Layout:
    architecture = encoder.architecture
    differs = architecture in ("resnet50", "densenet121", "inception_v3")
    return Layout(
        "keras",
        lambda state, network: keras.rename(state, network, architecture),
        {
            "vgg16": "block1_conv1.weight",
            "resnet50": "conv1_conv.weight",
            "densenet121": "bn.weight",
        }.get(architecture, "conv2d_0.weight"),
        (lambda network: keras.adapt(network, architecture)) if differs else None,
    )


def _efficientnet_pytorch(encoder: Encoder) -> Layout:
    return Layout("efficientnet_pytorch", _efficientnet, "_conv_stem.weight")


def _efficientnet(state: State, network: nn.Module) -> dict[str, Tensor]:
    names = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    names["_fc"] = "classifier"
    paths = [
        f"blocks.{s}.{b}"
        for s, stage in network.get_submodule("blocks").named_children()
        for b, _ in stage.named_children()
    ]
    for number, path in enumerate(paths):
        source = f"_blocks.{number}"
        # The first blocks do not expand, and timm counts from the first convolution that is there.
        expands = f"{source}._expand_conv.weight" in state
        theirs = ["_expand_conv", "_bn0"] * expands
        theirs += ["_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
        ours = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
        if not expands:
            ours = ["conv_dw", "bn1", "conv_pw", "bn2"]
        names |= {f"{source}.{a}": f"{path}.{b}" for a, b in zip(theirs, ours, strict=True)}
    parts = ((key.rpartition("."), tensor) for key, tensor in state.items())
    return {f"{names.get(module, module)}.{leaf}": tensor for (module, _, leaf), tensor in parts}


_swin_unetr = _substituted((r"\.mlp\.fc([12])\.", r".mlp.linear\1."))
# Heads of the training, and the normalisation before them. Residual convolutions, which MONAI calls
# layers1c to layers4c, are part of an encoder that is another one.
_NOT_SWIN_UNETR = r"(?!patch_embed\.|layers)"


def _ssl(encoder: Encoder) -> Layout:
    return Layout("ssl", _swin_unetr, prefix=r"(?!.*swinViT\.$).*", ignored=_NOT_SWIN_UNETR)


def _btcv(encoder: Encoder) -> Layout:
    return Layout("btcv", _swin_unetr, prefix=r".*swinViT\.")


def _brats(encoder: Encoder) -> Layout:
    return Layout("brats", _swin_unetr)


def _medicalnet(encoder: Encoder) -> Layout:
    return Layout("medicalnet", _same, ignored=r"conv_seg\.")


def _ct_fm(encoder: Encoder) -> Layout:
    return Layout("ct_fm", _same)


_MAKERS: dict[str, Callable[[Encoder], Layout]] = {
    "ssl": _ssl,
    "btcv": _btcv,
    "brats": _brats,
    "medicalnet": _medicalnet,
    "ct_fm": _ct_fm,
    "timm": _timm,
    "torchvision": _torchvision,
    "radimagenet": _radimagenet,
    "keras": _keras,
    "transformers": _transformers,
    "efficientnet_pytorch": _efficientnet_pytorch,
}
