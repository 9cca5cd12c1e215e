"""Networks of one's own: the rows of torch itself, and a recipe that no other network has."""

from __future__ import annotations

import copy
import importlib
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from made import dataset_of
from PIL import Image
from torch import Tensor, nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.inputs.preprocessing_presets import own_preprocessing
from bottleneck.backbones.own import fingerprints
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import BottleneckError, UsageError, WeightsError
from bottleneck.features.extraction import extract, extract_all
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone

HALF = (0.5, 0.5, 0.5)
COLOUR = Preprocessing(16, 16, "bilinear", HALF, HALF)
GREY = Preprocessing(16, 16, "bilinear", HALF, HALF, channels="L")
FACTOR = 2.0
MakeImages = Callable[[int], Path]


def scaled(x: Tensor) -> Tensor:
    return x * FACTOR


class Small(nn.Module):
    def __init__(self, channels: int = 3, slope: float = 0.1) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv = nn.Conv2d(channels, 6, 3)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(scaled(self.conv(x)), self.slope)


class Other(Small):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


def hash_of(network: nn.Module, **options: object) -> str:
    return Backbone.from_module(network, COLOUR, **options).recipe("fp32").hash


def changed(change: Callable[[Small], object]) -> Small:
    network = Small()
    change(network)
    return network


def test_rows_are_those_of_the_module_which_stays_as_it_was(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder, network = image_folder(5), nn.Sequential(Small(), nn.Dropout()).train()
    run = extract(
        dataset_of(folder),
        Backbone.from_module(network, COLOUR, name="resnet18"),
        output=tmp_path / "f",
        precision="fp32",
        batch_size=2,
    )
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    network.eval()
    rows = []
    for path in sorted(folder.iterdir()):
        image = Image.open(path).convert("RGB").resize((16, 16), Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 255
        rows.append(network((x - 0.5) / 0.5).mean((2, 3))[0])
    features = load_features(run.path)
    np.testing.assert_allclose(features.X, torch.stack(rows).detach(), rtol=1e-5, atol=1e-6)
    assert features.title.startswith("resnet18 (own ")
    assert run.provenance["recipe"]["network"].startswith("torch.nn.modules.container.Sequential")


def test_recipes_differ_where_rows_could(monkeypatch: pytest.MonkeyPatch) -> None:
    base = hash_of(Small())
    assert hash_of(Small()) == base == hash_of(copy.deepcopy(Small()), name="another")
    different = [
        Small(slope=0.2),
        Other(),
        changed(lambda n: n.conv.weight.data[0, 0, 0].add_(1e-6)),
        changed(lambda n: setattr(n.conv, "stride", (2, 2))),
        changed(lambda n: n.register_buffer("kept", torch.ones(2), persistent=False)),
        changed(lambda n: n.register_buffer("kept", torch.zeros(2), persistent=False)),
        changed(lambda n: n.register_buffer("kept", torch.ones(2, dtype=torch.complex64) * 1j)),
        changed(lambda n: n.register_buffer("kept", torch.ones(2, dtype=torch.complex64) * 2j)),
        changed(lambda n: setattr(n, "plain", [torch.ones(3)])),
        changed(lambda n: setattr(n, "plain", [torch.zeros(3)])),
        changed(lambda n: setattr(n, "hidden", [nn.Linear(1, 1, bias=False)])),
        changed(lambda n: nn.utils.parametrizations.weight_norm(n.conv)),
        changed(lambda n: setattr(n.conv, "forward", scaled)),
    ]
    hashes = {base, *map(hash_of, different)}
    monkeypatch.setattr(f"{__name__}.FACTOR", 3.0)
    hashes.add(hash_of(Small()))
    assert len(hashes) == len(different) + 2


@pytest.mark.parametrize("use", ["outer.inner.scaled(x)", "x + outer.inner.shift()"])
def test_code_is_followed_to_what_a_network_calls(
    use: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "outer.py").write_text("import inner\n")
    (tmp_path / "network.py").write_text(
        "from torch import nn\nimport outer\nclass Net(nn.Module):\n"
        f"    def forward(self, x):\n        return {use}\n"
    )
    hashes = []
    for number in ("2.0", "3.0", "2.0  # as before"):
        (tmp_path / "inner.py").write_text(
            f"import functools\nFACTOR = {number}\ndef scaled(x):\n    return x * FACTOR\n"
            f"@functools.lru_cache\ndef shift():\n    return {number}\n"
        )
        for name in ("network", "outer", "inner"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        backbone = Backbone.from_module(importlib.import_module("network").Net(), COLOUR)
        hashes.append(backbone.recipe("fp32").hash)
        if number == "2.0":
            (tmp_path / "inner.py").write_text("def scaled(x):\n    return x - 1\n")
            if "scaled" in use:
                with pytest.raises(UsageError, match="changed after it was imported"):
                    hash_of(importlib.import_module("network").Net())
            assert backbone.recipe("fp32").hash == hashes[-1]
    assert hashes[0] == hashes[2] != hashes[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.mul_(2),
        lambda weight: weight.data.mul_(2),
        lambda weight: setattr(weight, "data", weight * 2),
    ],
)
def test_other_weights_in_the_network_of_a_backbone_are_noticed(
    change: Callable[[Tensor], object],
) -> None:
    backbone = Backbone.from_module(Small(), COLOUR)
    again = pickle.loads(pickle.dumps(backbone))
    assert again.recipe("fp32") == backbone.recipe("fp32")
    before = backbone.recipe("fp32").hash
    with torch.no_grad():
        change(backbone.network.conv.weight)
    assert before not in (backbone.recipe("fp32").hash, backbone.at("conv").recipe("fp32").hash)


def test_code_that_changes_after_it_was_read_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = Backbone.from_module(Small(), COLOUR)
    before = backbone.recipe("fp32")
    with monkeypatch.context() as patch:
        patch.setattr(f"{__name__}.FACTOR", 3.0)
        for each in (backbone, backbone.at("conv")):
            with pytest.raises(UsageError, match="changed since"):
                each.recipe("fp32")
    assert backbone.recipe("fp32") == before
    # A process that it is sent to may lack the source.
    monkeypatch.setattr(fingerprints, "read_source", lambda *_: pytest.fail("it is read"))
    assert pickle.loads(pickle.dumps(backbone)).recipe("fp32") == before
    monkeypatch.undo()
    backbone.network.conv.stride = (2, 2)
    with pytest.raises(UsageError, match="changed since"):
        backbone.recipe("fp32")


def test_a_layer_is_chosen_wherever_another_backbone_has_moved_the_network() -> None:
    backbone = tiny_backbone(width=8)
    backbone.at("0").to(torch.device("meta"))  # As a GPU; this device computes shapes alone.
    assert backbone.at("0", "max").width == 8


def test_a_timm_model_gives_the_rows_of_the_catalogue() -> None:
    known = load_backbone("timm/test_resnet", weights="random")
    model = timm.create_model("test_resnet", num_classes=0)
    model.load_state_dict(known.network.state_dict())
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), np.uint8))
    own = Backbone.from_module(model, timm.data.resolve_model_data_config(model), "layer1")
    assert own.preprocessing == known.preprocessing == own_preprocessing("timm", model)
    torch.testing.assert_close(own.embed(pixels), known.at("layer1").embed(pixels))
    recipe = own.recipe("fp32")
    assert recipe.hash != known.at("layer1").recipe("fp32").hash
    assert recipe.network.startswith(f"timm.models.resnet.ResNet, timm {timm.__version__}")


def test_a_network_of_one_channel_gets_grey_values(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder = image_folder(3)
    colour = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    Image.fromarray(colour).save(folder / "colour.png")
    network = Small(channels=1)
    run = extract(
        dataset_of(folder), Backbone.from_module(network, GREY), output=tmp_path, precision="fp32"
    )
    rows = []
    for path in sorted(folder.iterdir()):
        image = Image.open(path).convert("L").resize((16, 16), Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.asarray(image).copy())[None, None].float() / 255
        rows.append(network((x - 0.5) / 0.5).mean((2, 3))[0])
    X = load_features(run.path).X
    np.testing.assert_allclose(X, torch.stack(rows).detach(), rtol=1e-5, atol=1e-6)


def test_layers_share_a_pass_and_a_run_is_continued(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder = image_folder(4)
    options = {"output": tmp_path, "layers": ["0", None], "batch_size": 2}
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
    first = extract_all(dataset_of(folder), [Backbone.from_module(network, COLOUR)], **options)
    assert [run.width for run in first] == [5, 5]
    assert len({run.path for run in first}) == 2
    second = extract_all(dataset_of(folder), [Backbone.from_module(network, COLOUR)], **options)
    assert [(run.path, run.n_extracted) for run in second] == [(run.path, 0) for run in first]


def test_channels_last_maps_are_pooled_over_positions() -> None:
    class Last(Small):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).permute(0, 2, 3, 1)

    assert Backbone.from_module(Last(), COLOUR).width == 6


class KeepsValue(Small):
    skip: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.skip = super().forward(x)
        kept, self.skip = self.skip, None
        return kept


class Counts(Small):
    def forward(self, x: Tensor) -> Tensor:
        self.conv.bias.add_(1)
        return super().forward(x)


class CountsUnseen(Small):
    def forward(self, x: Tensor) -> Tensor:
        self.conv.bias.data.add_(1)
        return super().forward(x)


class Draws(Small):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), 0.5, training=True)


class Nested(Small):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"features": super().forward(x)}


class Breaks(Small):
    def forward(self, x: Tensor) -> Tensor:
        return {}["nothing"]


def without_source() -> nn.Module:
    names: dict[str, type[nn.Module]] = {}
    code = "from torch import nn\nclass Made(nn.Module):\n    def forward(self, x): return x\n"
    exec(code, names)
    return names["Made"]()


def with_hook() -> nn.Module:
    network = Small()
    network.conv.register_forward_hook(lambda module, inputs, output: output * 0)
    return network


def compiled() -> nn.Module:
    network = Small()
    network._compiled_call_impl = scaled  # As ``network.compile()`` does, which takes seconds.
    return network


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(Small(), torch.zeros(1, 3, 16, 16))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Small, "is its class"),
        (lambda: "resnet18", "load_backbone"),
        (scripted, "TorchScript"),
        (compiled, "compiled by its method"),
        (lambda: nn.DataParallel(Small()), "its attribute 'module'"),
        (without_source, "cannot be read"),
        (lambda: changed(lambda n: setattr(n, "act", lambda x: x)), "is a lambda"),
        (with_hook, "has a forward hook"),
        (KeepsValue, "attribute 'skip'"),
        (Counts, r"changes its tensor 'conv\.bias'"),
        (CountsUnseen, r"changes its tensor 'conv\.bias'"),
        (Draws, "random numbers"),
        (Breaks, "KeyError"),
        (lambda: nn.BatchNorm2d(3, track_running_stats=False), "mixes the images of a batch"),
        (Nested, "name the layer"),
        (lambda: nn.LazyConv2d(3, 3), "not initialised"),
        (lambda: nn.Conv2d(3, 3, 3, device="meta"), "without values"),
        (lambda: Small(channels=1), "channels='L'"),
        (lambda: nn.Conv3d(3, 3, 3), "takes volumes"),
        (
            lambda: changed(lambda n: n.register_buffer("one", torch.eye(2).to_sparse())),
            "to_dense",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Backbone.from_module(make(), COLOUR)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (None, "not None"),
        (Path("none.toml"), "none.toml"),
        ("imagenet", "Known: FILE.toml"),
        ("timm", "does not state input_size"),
        ({"mean": HALF}, "does not state input_size"),
        ({"input_size": (3, 16, 8)}, "does not state"),
    ],
)
def test_a_preprocessing_is_never_guessed(stated: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Backbone.from_module(Small(), stated)


def test_unknown_layers_and_broken_weights_are_refused() -> None:
    with pytest.raises(UsageError, match="similar names: conv"):
        Backbone.from_module(Small(), COLOUR, "cnv")
    for number in (0, 1):
        with pytest.raises(UsageError, match="stated by its name"):
            Backbone.from_module(Small(), COLOUR, number)
        with pytest.raises(UsageError, match="stated by its name"):
            tiny_backbone().at(number)
    with pytest.raises(UsageError, match="unknown pooling 'None'"):
        Backbone.from_module(Small(), COLOUR, pooling=None)
    broken = changed(lambda n: n.conv.bias.data.fill_(np.nan))
    with pytest.raises(WeightsError, match="not finite"):
        Backbone.from_module(broken, COLOUR)


def test_a_failure_in_another_precision_names_the_network(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    class Strict(Small):
        def forward(self, x: Tensor) -> Tensor:
            if torch.is_autocast_enabled("cpu"):
                raise AttributeError("no such thing")
            return super().forward(x)

    backbone = Backbone.from_module(Strict(), COLOUR)
    with pytest.raises(BottleneckError, match="the network Strict cannot compute"):
        extract(dataset_of(image_folder(2)), backbone, output=tmp_path, precision="bf16")
