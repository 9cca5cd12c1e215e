"""How a network is computed: lanes, the measured choice, the fast decoding."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made import dataset_of, make_images
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode, functional

import bottleneck
from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.folder import folder_path
from bottleneck.data.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.features import devices, engine
from bottleneck.features.engine import Plan, Runner
from bottleneck.features.extraction import Extraction, extract, extract_all, extract_layers
from bottleneck.features.stages import Clock
from bottleneck.features.store import load_features
from bottleneck.features.tuning import Speed, measure_speed, tune
from bottleneck.testing import tiny_backbone

MakeImages = Callable[..., Path]
CPU = torch.device("cpu")
USUAL = Plan(16)


def run(folder: Path, output: Path, **options: Any) -> Extraction:
    options = {"batch_size": 4, "workers": 2, "precision": "fp32", **options}
    return extract(dataset_of(folder), tiny_backbone(), output=output, **options)


class Machine:
    """Speeds that a machine would have, and a list of what was measured."""

    def __init__(self, rate: Callable[[Plan], float], setup: float = 0.0) -> None:
        self.measured: list[Plan] = []
        self._rate, self._setup = rate, setup

    def __call__(self, backbones: Any, device: Any, precision: str, plan: Plan) -> Speed:
        self.measured.append(plan)
        return Speed(self._rate(plan), self._setup * plan.compiled)


def rate(plan: Plan) -> float:
    """A machine on which everything helps, batches up to 32."""
    speed = 150.0 if plan.layout == "contiguous" else 100.0
    return speed * {16: 1.0, 32: 1.2}[plan.batch_size] * (2.0 if plan.compiled else 1.0)


@pytest.fixture
def choose(tmp_path: Path) -> Callable[..., Plan]:
    taps = [tiny_backbone()]

    def call(measure: Machine, n_images: int, **options: Any) -> Plan:
        options = {"memory": tmp_path / "tuning.json", **options}
        return tune(taps, CPU, "bf16", "auto", n_images, measure=measure, **options)

    return call


def test_two_batches_are_computed_at_once(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder(16)
    alone = run(folder, tmp_path / "alone")
    both, original = threading.Barrier(2), engine.embed_together

    def together(*arguments: Any) -> list[torch.Tensor]:
        both.wait(timeout=60)  # Breaks unless a second batch comes while the first is computed.
        assert torch.get_num_threads() == 1
        return original(*arguments)

    monkeypatch.setattr(engine, "embed_together", together)
    result = run(folder, tmp_path / "both")
    assert torch.get_num_threads() == 2
    assert load_features(result.path).X.tobytes() == load_features(alone.path).X.tobytes()


def test_a_batch_that_takes_long_keeps_no_lane_waiting(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder(24)
    alone = run(folder, tmp_path / "alone", batch_size=2)
    started, others, original = threading.Lock(), threading.Semaphore(0), engine.embed_together

    def together(*arguments: Any) -> list[torch.Tensor]:
        result = original(*arguments)
        if started.acquire(blocking=False):  # The first, until all eleven others are computed.
            for _ in range(11):
                assert others.acquire(timeout=60)
        else:
            others.release()
        return result

    monkeypatch.setattr(engine, "embed_together", together)
    result = run(folder, tmp_path / "long", batch_size=2)
    assert load_features(result.path).X.tobytes() == load_features(alone.path).X.tobytes()


def test_a_picture_that_comes_again_at_once_is_computed_once(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder = image_folder(4)
    for number in range(4, 12):
        (folder / f"{number:03d}.png").write_bytes((folder / f"{number % 4:03d}.png").read_bytes())
    result = run(folder, tmp_path / "f")
    assert (result.n_extracted, result.n_samples) == (4, 12)
    features = load_features(result.path).X
    np.testing.assert_array_equal(features[:4], features[4:8])


@pytest.mark.parametrize("layers", [["0"], ["1"], ["0", None], ["0", "1"]])
def test_lanes_that_share_a_network_do_not_read_each_others_layers(
    tmp_path: Path, layers: list[str | None]
) -> None:
    folder = tmp_path / "images"
    make_images(folder, 120, side=16)
    # Nothing is measured: what computes fastest in one lane may not be what does in two.
    options = {"batch_size": 2, "precision": "fp32", "layers": layers, "tuning": "never"}
    many = extract_layers(dataset_of(folder), tiny_backbone(), output=tmp_path / "m", **options)
    torch.set_num_threads(1)
    one = extract_layers(dataset_of(folder), tiny_backbone(), output=tmp_path / "o", **options)
    for a, b in zip(many, one, strict=True):
        np.testing.assert_array_equal(load_features(a.path).X, load_features(b.path).X)


def test_a_network_at_two_decodings_in_one_pass(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    make_images(folder, 12, side=50)
    backbone = tiny_backbone()
    options = {"layers": (), "precision": "bf16", "batch_size": 4}
    data = dataset_of(folder)
    begun = tmp_path / "begun"
    extract_all(data, [backbone], output=begun, decoding="reference", **options)
    Image.fromarray(np.full((50, 50), 7, np.uint8)).save(folder / "999.png")
    both = extract_all(dataset_of(folder), [backbone, backbone.at("0")], output=begun, **options)
    alone = extract_all(
        dataset_of(folder), [backbone.at("0")], output=tmp_path / "alone", **options
    )
    decodings = [result.provenance["recipe"]["decoding"] for result in both]
    assert decodings == ["1", "1-fast"]
    np.testing.assert_array_equal(load_features(both[1].path).X, load_features(alone[0].path).X)


def test_a_network_that_cannot_be_compiled_here(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder(9)
    usual = run(folder, tmp_path / "a")

    def broken(network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(engine, "compiled", lambda _: broken)
    monkeypatch.setattr("bottleneck.features.worker.tune", lambda *_, **__: Plan(4, compiled=True))
    texts: list[str] = []
    result = run(folder, tmp_path / "b", progress=lambda done, total, text: texts.append(text))
    assert {"tiny", "compiling tiny"} == set(texts)
    assert (texts[0], texts[-1]) == ("tiny", "tiny")
    assert any("could not be compiled" in note for note in result.notes)
    assert result.provenance["compiled"] is False
    np.testing.assert_array_equal(load_features(result.path).X, load_features(usual.path).X)


def test_the_fastest_of_all_is_taken(choose: Callable[..., Plan]) -> None:
    assert choose(Machine(rate), 10, tuning="always") == Plan(32, "contiguous", True)


def test_what_does_not_work_is_not_taken_and_not_remembered(choose: Callable[..., Plan]) -> None:
    machine = Machine(lambda plan: 0.0 if plan.compiled or plan.batch_size > 16 else 100.0)
    assert choose(machine, 10**6, tuning="always") == USUAL
    assert choose(Machine(lambda _: 0.0), 10**6, tuning="always") == USUAL
    assert choose(Machine(rate), 10**6) == Plan(32, "contiguous", True)


def test_a_measurement_costs_a_twentieth_of_the_run(choose: Callable[..., Plan]) -> None:
    # A measurement takes three batches of each lane.
    each = 3 * 16 * devices.lanes_of(CPU)
    machine = Machine(rate)
    assert choose(machine, 20 * each - 1) == USUAL
    assert machine.measured == []
    assert choose(machine, 20 * each) == USUAL
    assert machine.measured == [USUAL]
    # What is known costs nothing.
    assert choose(machine, 20 * each) == Plan(16, "contiguous")
    assert len(machine.measured) == 2
    assert choose(machine, 10, tuning="never") == USUAL
    # A run that goes on needs no plan of its own.
    assert choose(Machine(rate), 0, tuning="always") == USUAL


def test_each_measurement_is_announced(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, texts = Machine(rate), []
    choose = functools.partial(tune, measure=machine, memory=tmp_path / "tuning.json")
    monkeypatch.setattr("bottleneck.features.worker.tune", choose)
    options = {"tuning": "always", "batch_size": 16}
    run(image_folder(4), tmp_path / "f", progress=lambda *said: texts.append(said), **options)
    assert texts.count((0, 4, "measuring tiny")) == len(machine.measured) > 1
    assert texts[-1] == (4, 4, "tiny")


def test_without_a_home_folder_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    machine = Machine(rate)
    for _ in range(2):
        plan = tune([tiny_backbone()], CPU, "bf16", "auto", 10_000, measure=machine)
        assert plan == Plan(32, "contiguous", compiled=False)
    assert len(machine.measured) == 6
    monkeypatch.delenv("BOTTLENECK_WEIGHTS", raising=False)
    with pytest.raises(UsageError, match="no home folder here, in which weights are kept"):
        folder_path()


def test_compiling_must_pay(choose: Callable[..., Plan]) -> None:
    machine = Machine(lambda plan: 200.0 if plan.compiled else 100.0, setup=50.0)
    # 50 + n / 200 < n / 100 above 10,000 images, and it must do so by three per cent.
    compiled = Plan(16, compiled=True)
    assert choose(machine, 11_000, tuning="always") == compiled
    assert choose(machine, 10_100) == USUAL
    assert choose(machine, 10_800) == compiled
    assert len(machine.measured) == len(set(machine.measured))


def test_measurements_are_kept_by_network_and_device(
    tmp_path: Path, choose: Callable[..., Plan]
) -> None:
    memory, machine = tmp_path / "tuning.json", Machine(rate)
    choose(machine, 10, tuning="always")
    (key,) = json.loads(memory.read_text())
    assert "tiny8" in key
    assert torch.__version__ in key
    assert f"bottleneck {bottleneck.__version__}" in key
    taken = len(machine.measured)
    tune([tiny_backbone(width=4)], CPU, "fp32", 16, 10**9, measure=machine, memory=memory)
    assert len(machine.measured) > taken
    assert "fp32" in json.loads(memory.read_text()).popitem()[0]
    assert len(json.loads(memory.read_text())) == 2


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"x": 3}', "\x00", "KEY"])
def test_a_damaged_memory_is_measured_again(
    tmp_path: Path, choose: Callable[..., Plan], text: str
) -> None:
    memory, machine = tmp_path / "tuning.json", Machine(rate)
    choose(machine, 10**6)
    (key,) = json.loads(memory.read_text())
    row = {"batch_size": -1, "rate": 1, "setup": 0}
    memory.write_text(json.dumps({key: [row]}) if text == "KEY" else text)
    taken = len(machine.measured)
    choose(machine, 10**6)
    assert len(machine.measured) == 2 * taken


def test_a_real_measurement() -> None:
    speed = measure_speed([tiny_backbone()], CPU, "fp32", Plan(4))
    assert speed.rate > 0
    assert speed.setup >= 0


def test_layouts_differ_in_the_last_bits_alone(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(6)
    usual = load_features(run(folder, tmp_path / "a").path)
    chosen = Plan(4, "contiguous")
    monkey = pytest.MonkeyPatch()
    monkey.setattr("bottleneck.features.worker.tune", lambda *_, **__: chosen)
    with monkey.context():
        other = run(folder, tmp_path / "b")
    monkey.undo()
    assert other.provenance["layout"] == "contiguous"
    np.testing.assert_allclose(load_features(other.path).X, usual.X, rtol=0, atol=1e-5)
    # A file keeps the layout that it was begun with.
    Image.fromarray(np.full((24, 24), 99, np.uint8)).save(folder / "999.png")
    assert run(folder, tmp_path / "b").provenance["layout"] == "contiguous"


@pytest.mark.slow
def test_a_compiled_network_gives_the_same(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(9)
    usual = load_features(run(folder, tmp_path / "a").path)
    monkey = pytest.MonkeyPatch()
    chosen = Plan(4, compiled=True)
    monkey.setattr("bottleneck.features.worker.tune", lambda *_, **__: chosen)
    compiled = run(folder, tmp_path / "b")
    monkey.undo()
    assert compiled.provenance["compiled"] is True
    np.testing.assert_allclose(load_features(compiled.path).X, usual.X, rtol=0, atol=1e-5)


def test_a_smaller_batch_is_compiled_as_the_first_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constant weights hold for what is compiled inside, and a failure there has a way out."""
    inside, shapes = [False], []

    @contextlib.contextmanager
    def constants() -> Iterator[None]:
        inside[0] = True
        yield
        inside[0] = False

    def forward(network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) == 4 and shapes:
            raise RuntimeError("out of memory")
        shapes.append((len(pixels), inside[0]))
        return network(pixels)

    monkeypatch.setattr(engine, "compiled", lambda _: forward)
    monkeypatch.setattr(engine, "constant_weights", constants)
    runner = Runner([tiny_backbone()], CPU, "fp32", Plan(4, compiled=True), Clock(1))
    images = [np.zeros((16, 16, 3), np.uint8)] * 4
    for _ in range(2):
        assert len(runner.compute(images, "fp32")[0]) == 4
    assert runner.plan == Plan(2, compiled=True)
    assert shapes[:2] == [(4, True), (2, True)]
    assert set(shapes[2:]) == {(2, False)}


@pytest.mark.slow
def test_two_networks_of_one_shape_keep_their_weights_when_compiled() -> None:
    """Weights are constants of what is compiled, which is kept by the function's code."""
    image = [np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)]
    backbone, other = tiny_backbone(), tiny_backbone()
    with torch.no_grad():
        other.network.get_parameter("0.weight").neg_()

    def features(backbone: Backbone, compiled: bool) -> Any:
        runner = Runner([backbone], CPU, "fp32", Plan(2, compiled=compiled), Clock(1))
        values = runner.compute(image, "fp32")[0]
        assert runner.plan.compiled is compiled
        return values

    expected = [features(one, False) for one in (backbone, other)]
    assert np.abs(expected[0] - expected[1]).max() > 0.01
    for _ in range(2):
        np.testing.assert_allclose(features(backbone, True), expected[0], atol=1e-5)
        np.testing.assert_allclose(features(other, True), expected[1], atol=1e-5)
    # Trained on: another backbone, though of the same network.
    with torch.no_grad():
        other.network.get_parameter("0.weight").neg_()
    np.testing.assert_allclose(features(other.at(None), True), expected[0], atol=1e-5)
    # This one was compiled with the weights that it had.
    np.testing.assert_allclose(features(other, True), expected[1], atol=1e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_fast_resize_is_torchvisions(interpolation: Any) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (90, 140, 3), np.uint8))
    reference = Preprocessing(48, 40, interpolation, (0.5,) * 3, (0.5,) * 3)
    fast = reference.fast().pixels(image)
    tensor = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).contiguous()
    mode = InterpolationMode(interpolation)
    resized = functional.resize(tensor, [48, 74], mode, antialias=True).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(fast, resized[4:44, 17:57])
    apart = np.abs(fast.astype(int) - reference.pixels(image))
    assert apart.max() == 1
    assert (apart > 0).mean() < 0.02


def test_a_resize_that_has_no_fast_form_stays() -> None:
    for options in ({"interpolation": "nearest"}, {"resizer": "opencv"}):
        one = Preprocessing(**{"resize": 8, "crop": 8, "interpolation": "bilinear"} | options,
                            mean=(0.5,) * 3, std=(0.5,) * 3)  # fmt: skip
        assert one.fast() == one


def test_fast_decoding_is_part_of_the_recipe_and_its_drift_is_measured(tmp_path: Path) -> None:
    folder, output = tmp_path / "images", tmp_path / "f"
    make_images(folder, 8, side=50)
    slow = run(folder, output, precision="bf16", batch_size=8, decoding="reference")
    assert run(folder, output, precision="bf16").path == slow.path
    fast = run(folder, output, precision="bf16", batch_size=8, decoding="fast")
    assert slow.path != fast.path
    assert fast.provenance["recipe"]["decoding"] == "1-fast"
    # Now both are there.
    assert run(folder, output, precision="bf16").path == fast.path
    exactly = run(folder, output, precision="fp32")
    assert exactly.provenance["recipe"]["decoding"] == "1"

    backbone = tiny_backbone().to(CPU)
    images = [Image.open(path).convert("RGB") for path in sorted(folder.iterdir())]
    made = [[p.pixels(i) for i in images] for p in (backbone.preprocessing.fast(),
                                                    backbone.preprocessing)]  # fmt: skip
    reduced, exact = (
        backbone.embed(torch.from_numpy(np.stack(pixels)), precision).numpy()
        for pixels, precision in zip(made, ("bf16", "fp32"), strict=True)
    )
    np.testing.assert_array_equal(load_features(fast.path).X, reduced)
    relative = np.linalg.norm(reduced - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert fast.provenance["drift"]["relative"] == pytest.approx(relative.max(), rel=1e-5)


def test_fast_decoding_and_layers_share_a_pass(image_folder: MakeImages, tmp_path: Path) -> None:
    results = extract_layers(
        dataset_of(image_folder(5)),
        tiny_backbone(),
        layers=["0", "1"],
        precision="bf16",
        decoding="fast",
        batch_size=4,
        output=tmp_path,
    )
    assert all(result.provenance["drift"]["images"] == 4 for result in results)


def test_fp32_takes_the_reference(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(2)
    with pytest.raises(UsageError, match="fp32 takes the reference decoding"):
        run(folder, tmp_path / "f", decoding="fast")
    with pytest.raises(UsageError, match="unknown decoding 'quick'"):
        run(folder, tmp_path / "f", decoding="quick")
    with pytest.raises(UsageError, match="unknown tuning 'often'"):
        run(folder, tmp_path / "f", tuning="often")
