"""Memory is kept from batch to batch, as the kernel counts its pages, and returned at the end."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys
from typing import Any

import pytest

from bottleneck.features.compute.malloc import kept_memory

# Runs in a process of its own, with memory that no other test has used. Prints the page faults of
# each of four batches, in a lane and in another thread, and the resident memory in MiB before the
# lane opens, while it is open, and after it is closed.
SCRIPT = """
import json, os, resource
from concurrent.futures import ThreadPoolExecutor
import torch
from bottleneck.features.compute.batch_runner import Lanes

def batch():
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for mib in (10, 30, 30, 20, 30):
        torch.ones(mib * 2**18)
    maps = [torch.ones(30 * 2**18) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20

def four(submit):
    return [submit(batch).result() for _ in range(4)]

sizes = [resident()]
lanes = Lanes(torch.device("cpu"))
within = four(lanes.submit)
sizes.append(resident())
lanes.close()
sizes.append(resident())
with ThreadPoolExecutor(1) as pool:
    outside = four(pool.submit)
print(json.dumps([within, outside, sizes]))
"""
glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="memory is kept with glibc alone"
)


def measure(**environment: str) -> tuple[list[int], list[int], list[int]]:
    # One thread, so that there is one lane.
    variables = {name: value for name, value in os.environ.items() if "MALLOC" not in name.upper()}
    variables |= {"OMP_NUM_THREADS": "1", "GLIBC_TUNABLES": "", **environment}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=variables, stdout=subprocess.PIPE, check=True
    )
    within, outside, sizes = json.loads(done.stdout)
    return within, outside, sizes


@glibc
def test_a_batch_takes_the_memory_of_the_one_before() -> None:
    within, outside, (before, held, after) = measure()
    assert within[0] > 0
    assert within[3] * 10 <= outside[3]
    # Four maps of 30 MiB.
    assert held - before >= 120
    assert after - before <= (held - before) / 2


@glibc
@pytest.mark.parametrize(
    "setting",
    [
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072"),
    ],
)
@pytest.mark.slow
def test_what_the_environment_sets_is_left(setting: tuple[str, str]) -> None:
    within, outside, _ = measure(**dict([setting]))
    assert within[3] * 2 > outside[3] > 0


# macOS, musl and Windows.
@pytest.mark.parametrize("error", [ValueError, OSError, AttributeError])
def test_other_libraries_are_left_alone(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str) -> str:
        raise error("unrecognized configuration name")

    def refuse(*_: Any) -> None:
        raise AssertionError("it was asked for")

    monkeypatch.setattr(os, "confstr", unknown)
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with kept_memory():
        pass
