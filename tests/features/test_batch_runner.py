"""Batches in lanes, and networks that are compiled or cannot be."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made import dataset_of, make_images

from bottleneck.backbones.backbone import Backbone
from bottleneck.features.compute import batch_runner
from bottleneck.features.compute.batch_runner import BatchRunner
from bottleneck.features.compute.compile import pays_off
from bottleneck.features.compute.engine import BatchPlan
from bottleneck.features.extraction import extract, extract_all
from bottleneck.features.extraction_result import Extraction
from bottleneck.features.file.reader import load_features
from bottleneck.features.timing import Clock
from bottleneck.testing import tiny_backbone

MakeImages = Callable[..., Path]
CPU = torch.device("cpu")


def run(folder: Path, output: Path, **options: Any) -> Extraction:
    options = {"batch_size": 4, "workers": 2, "precision": "fp32", **options}
    return extract(dataset_of(folder), tiny_backbone(), output=output, **options)


def test_two_batches_are_computed_at_once(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder(16)
    alone = run(folder, tmp_path / "alone")
    both, original = threading.Barrier(2), batch_runner.embed_together

    def together(*arguments: Any) -> list[torch.Tensor]:
        both.wait(timeout=60)  # Breaks unless a second batch comes while the first is computed.
        assert torch.get_num_threads() == 1
        return original(*arguments)

    monkeypatch.setattr(batch_runner, "embed_together", together)
    result = run(folder, tmp_path / "both")
    assert torch.get_num_threads() == 2
    assert load_features(result.path).X.tobytes() == load_features(alone.path).X.tobytes()


def test_a_batch_that_takes_long_keeps_no_lane_waiting(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder(24)
    alone = run(folder, tmp_path / "alone", batch_size=2)
    started, others, original = (
        threading.Lock(),
        threading.Semaphore(0),
        batch_runner.embed_together,
    )

    def together(*arguments: Any) -> list[torch.Tensor]:
        result = original(*arguments)
        if started.acquire(blocking=False):  # The first, until all eleven others are computed.
            for _ in range(11):
                assert others.acquire(timeout=60)
        else:
            others.release()
        return result

    monkeypatch.setattr(batch_runner, "embed_together", together)
    result = run(folder, tmp_path / "long", batch_size=2)
    assert load_features(result.path).X.tobytes() == load_features(alone.path).X.tobytes()


@pytest.mark.parametrize("layers", [["0"], ["1"], ["0", None], ["0", "1"]])
def test_lanes_that_share_a_network_do_not_read_each_others_layers(
    tmp_path: Path, layers: list[str | None]
) -> None:
    folder = tmp_path / "images"
    make_images(folder, 120, side=16)
    options = {"batch_size": 2, "precision": "fp32", "layers": layers}
    many = extract_all(dataset_of(folder), [tiny_backbone()], output=tmp_path / "m", **options)
    torch.set_num_threads(1)
    one = extract_all(dataset_of(folder), [tiny_backbone()], output=tmp_path / "o", **options)
    for a, b in zip(many, one, strict=True):
        np.testing.assert_array_equal(load_features(a.path).X, load_features(b.path).X)


def test_a_network_that_cannot_be_compiled_here(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder(9)
    usual = run(folder, tmp_path / "a")

    def broken(network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(batch_runner, "compiled", lambda _: broken)
    texts: list[str] = []
    result = run(
        folder,
        tmp_path / "b",
        compile="always",
        progress=lambda done, total, text: texts.append(text),
    )
    assert {"tiny", "compiling tiny"} == set(texts)
    assert (texts[0], texts[-1]) == ("tiny", "tiny")
    assert any("could not be compiled" in note for note in result.notes)
    assert result.provenance["compiled"] is False
    np.testing.assert_array_equal(load_features(result.path).X, load_features(usual.path).X)


def test_compiling_must_pay() -> None:
    cuda = torch.device("cuda")
    assert pays_off([tiny_backbone()], CPU, 20_000)
    assert not pays_off([tiny_backbone()], CPU, 19_999)
    assert not pays_off([tiny_backbone()], cuda, 10**7)
    # A hook on a layer ends the pass early, which compiled code cannot.
    assert not pays_off([tiny_backbone().at("0")], CPU, 20_000)
    assert not pays_off([tiny_backbone(), tiny_backbone().at("0")], CPU, 20_000)


@pytest.mark.slow
def test_a_compiled_network_gives_the_same(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(9)
    usual = load_features(run(folder, tmp_path / "a").path)
    compiled = run(folder, tmp_path / "b", compile="always")
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

    monkeypatch.setattr(batch_runner, "compiled", lambda _: forward)
    monkeypatch.setattr(batch_runner, "constant_weights", constants)
    runner = BatchRunner([tiny_backbone()], CPU, "fp32", BatchPlan(4, compiled=True), Clock(1))
    images = [np.zeros((16, 16, 3), np.uint8)] * 4
    for _ in range(2):
        assert len(runner.compute(images, "fp32")[0]) == 4
    assert runner.plan == BatchPlan(2, compiled=True)
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
        runner = BatchRunner([backbone], CPU, "fp32", BatchPlan(2, compiled=compiled), Clock(1))
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
