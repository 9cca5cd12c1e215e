"""The original libraries' networks and inputs, with randomised weights of realistic statistics.

For each layout: the published form of a file, and the original's own forward on image files.
Nothing here comes from the package under test.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

os.environ.setdefault("KERAS_BACKEND", "torch")

# Mean and spread of BatchNorm's scale and shift.
GAMMA, BETA = (0.25, 0.08), (0.1, 0.3)

Forward = Callable[[Sequence[Path]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Original:
    """A weight file as its library writes it, and that library's own embedding of images."""

    file: Path
    embed: Forward


def make_original(layout: str, encoder: Any, images: Sequence[Path], folder: Path) -> Original:
    return MAKERS[layout](encoder, list(images), folder)


def randomise(network: nn.Module, inputs: Tensor, seed: int = 0) -> None:
    """Give a network weights as training leaves them: no tensor at its initial values.

    BatchNorm gets the scale and shift that a ResNet-18 trained on ImageNet has (0.1 to 0.5, and
    0.1 ± 0.3), and the statistics of real activations, disturbed.
    """
    draw = torch.Generator().manual_seed(seed)

    def normal(tensor: Tensor, mean: float, std: float) -> None:
        tensor.copy_(mean + std * torch.randn(tensor.shape, generator=draw))

    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.LayerNorm)]
    for module in network.modules():
        for name, tensor in module.named_parameters(recurse=False):
            if isinstance(module, nn.BatchNorm2d):
                normal(tensor, *(GAMMA if name == "weight" else BETA))
            elif module in norms:
                normal(tensor, 1.0 if name == "weight" else 0.0, 0.2)
            elif name == "logit_scale":
                normal(tensor, 2.0, 0.3)
            elif name.endswith("bias_table"):
                normal(tensor, 0.0, 0.5)
            elif name.endswith("bias"):
                normal(tensor, 0.0, 0.1)
            else:
                # He's variance keeps the scale through ReLU; a third of it through residuals.
                fan_in = tensor[0].numel()
                normal(tensor, 0.0, (1.5 / fan_in) ** 0.5)
    _calibrate(network, inputs)
    for module in norms:
        if isinstance(module, nn.BatchNorm2d):
            std = module.running_var.sqrt()
            module.running_mean += 0.1 * std * torch.randn(std.shape, generator=draw)
            module.running_var *= 0.7 + 0.6 * torch.rand(std.shape, generator=draw)
    network.eval()


def _calibrate(network: nn.Module, inputs: Tensor) -> None:
    batch_norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    if not batch_norms:
        return
    kept = [module.momentum for module in batch_norms]
    for module in batch_norms:
        # Of memory that was never filled, even a share of 0 may be no number.
        module.reset_running_stats()
        module.momentum = 1.0
        module.train()
    network(inputs)
    for module, momentum in zip(batch_norms, kept, strict=True):
        module.momentum = momentum


def _pil(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def _timm(encoder: Any, images: list[Path], folder: Path) -> Original:
    from safetensors.torch import save_file

    is_vgg = encoder.architecture.startswith("vgg")
    with torch.device("meta" if is_vgg else "cpu"):
        network = timm.create_model(encoder.timm, num_classes=0).eval()
    if is_vgg:
        # Its classifier, 90 % of the network, has no part in the bottleneck.
        network.pre_logits, network.head = nn.Identity(), nn.Identity()
        network.to_empty(device="cpu")
    stated = timm.data.resolve_data_config(model=network)
    transform = timm.data.create_transform(**stated)

    def inputs(paths: Sequence[Path]) -> Tensor:
        return torch.stack([transform(_pil(path)) for path in paths])

    def pooled(x: Tensor) -> Tensor:
        # These two go on from the pooled map to layers of their classifier.
        if is_vgg or encoder.architecture.startswith("mobilenetv3"):
            return network.forward_features(x).mean((2, 3))
        return network(x)

    with torch.no_grad():
        randomise(network, inputs(images))
    file = folder / "model.safetensors"
    save_file(network.state_dict(), file)
    return Original(file, _numpy(pooled, inputs))


def _numpy(forward: Callable[[Tensor], Tensor], inputs: Callable[..., Tensor]) -> Forward:
    @torch.no_grad()
    def embed(paths: Sequence[Path]) -> np.ndarray:
        return forward(inputs(paths)).numpy()

    return embed


def _torchvision(encoder: Any, images: list[Path], folder: Path) -> Original:
    name = encoder.torchvision
    stated = next(iter(torchvision.models.get_model_weights(name))).transforms()

    def inputs(paths: Sequence[Path]) -> Tensor:
        return torch.stack([stated(_pil(path)) for path in paths])

    # As torchvision builds it when it is asked for weights.
    options = {"transform_input": True, "init_weights": False} if name == "inception_v3" else {}
    options |= {"init_weights": False} if name.startswith("vgg") else {}
    with torch.device("meta" if name.startswith("vgg") else "cpu"):
        network = torchvision.models.get_model(name, **options)
    if name.startswith("vgg"):
        # Its classifier, 90 % of the file, has no part in the bottleneck.
        network.features.to_empty(device="cpu")
        network.classifier = nn.Sequential(nn.Linear(1, 1))
        network.forward = lambda x: network.features(x).mean((2, 3))
    network.eval()
    with torch.no_grad():
        randomise(network, inputs(images))
    file = folder / f"{name}.pth"
    torch.save(network.state_dict(), file)
    for part in ("fc", "classifier", "head"):
        if hasattr(network, part):
            setattr(network, part, nn.Identity())
    return Original(file, _numpy(network, inputs))


def _radimagenet(encoder: Any, images: list[Path], folder: Path) -> Original:
    options = {"aux_logits": False, "init_weights": False} if "inception" in encoder.name else {}
    whole = torchvision.models.get_model(encoder.torchvision, **options)
    is_head = nn.Linear | nn.Dropout
    children = [m for m in whole.children() if not isinstance(m, is_head)]
    network = nn.Module()
    network.backbone = nn.Sequential(*children)
    network.eval()

    def inputs(paths: Sequence[Path]) -> Tensor:
        return torch.stack([_notebook(path) for path in paths])

    with torch.no_grad():
        network.forward = network.backbone.forward
        randomise(network, inputs(images))

    def forward(x: Tensor) -> Tensor:
        output = network.backbone(x)
        return output.mean((2, 3)) if output.ndim == 4 else output

    file = folder / f"{encoder.radimagenet}.pt"
    torch.save(network.state_dict(), file)
    return Original(file, _numpy(forward, inputs))


def _notebook(path: Path) -> Tensor:
    """RadImageNet's pytorch_example.ipynb: imread (BGR), (x − 127.5)·2/255, resize, ToTensor."""
    image = np.asarray(_pil(path), np.float64)[:, :, ::-1]
    return (
        torch.from_numpy(resize_as_opencv((image - 127.5) * 2 / 255, 224, 224))
        .float()
        .permute(2, 0, 1)
    )


def resize_as_opencv(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """cv2.resize(image, (width, height)) of a floating-point image: INTER_LINEAR, no antialias."""

    def weights(n_in: int, n_out: int) -> np.ndarray:
        centre = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
        low = np.floor(centre).astype(int)
        share = centre - low
        matrix = np.zeros((n_out, n_in))
        np.add.at(matrix, (np.arange(n_out), low.clip(0, n_in - 1)), 1 - share)
        np.add.at(matrix, (np.arange(n_out), (low + 1).clip(0, n_in - 1)), share)
        return matrix

    rows, columns = weights(image.shape[0], height), weights(image.shape[1], width)
    return np.einsum("yi,ijc,xj->yxc", rows, image, columns, optimize=True)


def _keras(encoder: Any, images: list[Path], folder: Path) -> Original:
    import keras

    module = {
        "VGG16": keras.applications.vgg16,
        "ResNet50": keras.applications.resnet50,
        "DenseNet121": keras.applications.densenet,
        "InceptionV3": keras.applications.inception_v3,
        "InceptionResNetV2": keras.applications.inception_resnet_v2,
    }[encoder.keras]
    side = 299 if "Inception" in encoder.keras else 224

    def inputs(paths: Sequence[Path]) -> np.ndarray:
        loaded = [keras.utils.load_img(path, target_size=(side, side)) for path in paths]
        return module.preprocess_input(np.stack([keras.utils.img_to_array(i) for i in loaded]))

    network = getattr(keras.applications, encoder.keras)(
        weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3)
    )
    _randomise_keras(network, inputs(images))
    file = folder / f"{encoder.keras}_notop.h5"
    write_legacy_h5(network, file)

    def embed(paths: Sequence[Path]) -> np.ndarray:
        with torch.no_grad():
            return network(inputs(paths), training=False).detach().numpy()

    return Original(file, embed)


def _randomise_keras(network: Any, inputs: np.ndarray) -> None:
    import keras

    rng = np.random.default_rng(0)
    norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    for layer in network.layers:
        values = []
        for weight in layer.weights:
            if weight.name == "kernel":
                std = (1.5 / np.prod(weight.shape[:-1])) ** 0.5
                values.append(rng.normal(0, std, weight.shape))
            elif weight.name == "gamma":
                values.append(rng.normal(*GAMMA, weight.shape))
            elif weight.name == "beta":
                values.append(rng.normal(*BETA, weight.shape))
            else:
                values.append(rng.normal(0, 0.1, weight.shape))
        layer.set_weights(values)
    for layer in norms:
        layer.momentum = 0.0
    with torch.no_grad():
        if norms:
            network(inputs, training=True)
    for layer in norms:
        *affine, mean, variance = values_of(layer)
        mean = mean + 0.1 * np.sqrt(variance) * rng.normal(size=mean.shape)
        layer.set_weights([*affine, mean, variance * rng.uniform(0.7, 1.3, variance.shape)])


def values_of(layer: Any) -> list[np.ndarray]:
    return [weight.value.detach().numpy().copy() for weight in layer.weights]


def write_legacy_h5(network: Any, file: Path, *, group: str | None = None) -> None:
    """Write weights as Keras 2 did: ``layer_names``, ``weight_names``, one group a layer."""
    import h5py

    with h5py.File(file, "w") as h5:
        root = h5.create_group(group) if group else h5
        root.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        for layer in network.layers:
            part = root.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            part.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, values_of(layer), strict=True):
                part[name] = value


def _transformers(encoder: Any, images: list[Path], folder: Path) -> Original:
    import transformers

    second = encoder.name.startswith("swinv2")
    depth = 2 if "tiny" in encoder.name else 18 if second or "s" in encoder.name else 6
    depths = (2, 2, 6, 2) if "tiny" in encoder.name else (2, 2, depth, 2)
    width = 128 if "base" in encoder.name else 96
    side, window = (256, 8) if second else (224, 7)
    kind = "Swinv2" if second else "Swin"
    config = getattr(transformers, f"{kind}Config")(
        image_size=side,
        window_size=window,
        embed_dim=width,
        depths=list(depths),
        num_heads=[width // 32 * 2**n for n in range(4)],
    )
    # A fine-tuned classifier, whose encoder is one part of the file.
    whole = getattr(transformers, f"{kind}ForImageClassification")(config).eval()
    network = whole.swinv2 if second else whole.swin
    # As in the preprocessor_config.json of microsoft/swin-tiny-patch4-window7-224 and its like.
    processor = transformers.ViTImageProcessor(
        size={"height": side, "width": side},
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )

    def inputs(paths: Sequence[Path]) -> Tensor:
        return processor([_pil(path) for path in paths], return_tensors="pt")["pixel_values"]

    with torch.no_grad():
        randomise(whole, inputs(images))
    whole.save_pretrained(folder)
    return Original(
        folder / "model.safetensors", _numpy(lambda x: network(x).pooler_output, inputs)
    )


def _efficientnet_pytorch(encoder: Any, images: list[Path], folder: Path) -> Original:
    import efficientnet_lite_pytorch

    network = efficientnet_lite_pytorch.EfficientNet.from_name(encoder.efficientnet_pytorch).eval()
    # Of the lite networks, their first publisher states this input; the package states none.
    stated = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize(256, torchvision.transforms.InterpolationMode.BICUBIC),
            torchvision.transforms.CenterCrop(224),
            torchvision.transforms.ToTensor(),
            torchvision.transforms.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )

    def inputs(paths: Sequence[Path]) -> Tensor:
        return torch.stack([stated(_pil(path)) for path in paths])

    with torch.no_grad():
        randomise(network, inputs(images))
    file = folder / f"{encoder.efficientnet_pytorch}.pth"
    torch.save(network.state_dict(), file)
    return Original(file, _numpy(lambda x: network.extract_features(x).mean((2, 3)), inputs))


MAKERS: dict[str, Callable[[Any, list[Path], Path], Original]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    "radimagenet": _radimagenet,
    "keras": _keras,
    "transformers": _transformers,
    "efficientnet_pytorch": _efficientnet_pytorch,
}
