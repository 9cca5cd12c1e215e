"""Everything here is computed in two lanes, as on any machine of two cores or more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from made_device import CPU, Device

from bottleneck.features.images import gpu_decoder
from bottleneck.features.images.decoder_pool import Decoders
from bottleneck.features.images.gpu_decoder import DeviceDecoders
from bottleneck.features.timing import Clock


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    pytest.importorskip("torchcodec", reason="torchcodec, which decodes on a device, is absent")
    made = Device(gpu_decoder._load_decoder())
    monkeypatch.setattr(gpu_decoder, "_load_decoder", lambda: made)
    return made


@pytest.fixture
def decoders(device: Device) -> Iterator[DeviceDecoders]:
    made = DeviceDecoders(CPU, Clock(2), Decoders(Clock(1)))
    device.batches.clear()  # The one that tries whether there is a decoder.
    yield made
    made.close()
