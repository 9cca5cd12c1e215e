"""Everything here is computed in two lanes, as on any machine of two cores or more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from made_device import CPU, Device

from bottleneck.features import device_decoding
from bottleneck.features.decoders import Decoders
from bottleneck.features.device_decoding import DeviceDecoders
from bottleneck.features.stages import Clock


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    pytest.importorskip("torchcodec", reason="torchcodec, which decodes on a device, is absent")
    made = Device(device_decoding._load_decoder())
    monkeypatch.setattr(device_decoding, "_load_decoder", lambda: made)
    return made


@pytest.fixture
def decoders(device: Device) -> Iterator[DeviceDecoders]:
    made = DeviceDecoders(CPU, Clock(2), Decoders(Clock(1)))
    device.batches.clear()  # The one that tries whether there is a decoder.
    yield made
    made.close()
