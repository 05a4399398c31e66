"""Every crop is computed once, on any device; the CPU takes the place of accelerators."""

from __future__ import annotations

import threading
from collections.abc import Sequence, Set
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from tiny_networks import random_clip, random_head

from sidscan.errors import RuntimeUnavailable
from sidscan.models.backbones import Feature
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.detectors import Detector, load_detectors
from sidscan.records import CropRef, CropSet
from sidscan.runtimes import cpu, cuda, unique_crops
from sidscan.runtimes.cuda import CudaPool
from sidscan.runtimes.precision_check import natural_crops
from sidscan.runtimes.pytorch import PyTorchRuntime, devices_like

CPU = torch.device("cpu")
ORDER: tuple[CropRef, ...] = ((0, False), (0, True), (1, False), (0, False), (1, True), (2, True), (2, True))


def detector(name: str, seed: int = 0) -> Detector:
    """A head on a random CLIP of two blocks."""
    state = random_clip(width=64, blocks=2, patch=56, side=224, embedding=8, seed=seed)
    info = DetectorInfo(name, "d", 0.5, {name: "d"}, {})
    return Detector(info, ClipEncoder.from_state(state), random_head(2, 64, 16, 2), fp16_safe=True)


class Alike(ClipEncoder):
    """An encoder that falsely claims to be mirror invariant."""

    mirror_invariant = True


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of crops in each pass."""
    seen: list[int] = []
    plain = ClipEncoder.read

    def counting(self: ClipEncoder, crops: torch.Tensor, features: Set[Feature]) -> dict[Any, torch.Tensor]:
        seen.append(len(crops))
        return plain(self, crops, features)

    monkeypatch.setattr(ClipEncoder, "read", counting)
    return seen


def expected(model: Detector, pixels: Any) -> Any:
    """The logits of the encoder and head alone."""
    with torch.inference_mode():
        return model.head(model.encoder(torch.from_numpy(pixels).permute(0, 3, 1, 2))).numpy()


def runtime(*detectors: Detector) -> PyTorchRuntime:
    return PyTorchRuntime(detectors, "cpu", "fp32")


@pytest.mark.parametrize(
    ("invariant", "needed", "positions"),
    [
        (False, [(0, False), (0, True), (1, False), (1, True), (2, True)], [0, 1, 2, 0, 3, 4, 4]),
        (True, [(0, False), (1, False), (2, False)], [0, 0, 1, 0, 1, 2, 2]),
    ],
)
def test_unique_crops(invariant: bool, needed: list[CropRef], positions: list[int]) -> None:
    assert unique_crops(ORDER, invariant) == (needed, positions)


def test_crops_are_mirrored_and_computed_once(read: list[int]) -> None:
    model, crop_set = detector("one"), CropSet(natural_crops(3), ORDER)
    logits = runtime(model).logits(crop_set)
    assert sum(read) == 5
    assert logits.shape == (7, 1)
    np.testing.assert_allclose(logits[:, 0], expected(model, crop_set.pixels()), atol=1e-5)
    assert abs(logits[0, 0] - logits[1, 0]) > 1e-3, "this encoder distinguishes mirror images"


def test_a_mirror_invariant_encoder_does_not_compute_mirrored_crops(read: list[int]) -> None:
    seeing, blind = detector("seeing"), detector("blind", seed=1)
    blind.encoder.__class__ = Alike
    crop_set = CropSet(natural_crops(3), ORDER)
    logits = runtime(blind, seeing, blind).logits(crop_set)
    assert sum(read) == 5 + 3
    np.testing.assert_allclose(logits[:, 1], expected(seeing, crop_set.pixels()), atol=1e-5)
    plain = expected(blind, crop_set.crops)
    for column in (0, 2):
        np.testing.assert_allclose(logits[:, column], plain[[index for index, _ in ORDER]], atol=1e-5)


@pytest.mark.parametrize(
    ("crop_count", "count", "sizes"),
    [
        (1, 2, [1]),
        (2, 2, [1, 1]),
        (10, 2, [5, 5]),
        (30, 2, [7, 8, 7, 8]),
        (40, 2, [10] * 4),
        (10, 16, [1] * 10),
    ],
)
def test_parts_keep_all_cores_busy_to_the_end(crop_count: int, count: int, sizes: list[int]) -> None:
    order: Sequence[CropRef] = [(index, False) for index in range(crop_count)]
    parts = cpu._parts(order, count)
    assert [len(part) for part in parts] == sizes
    assert [crop for part in parts for crop in part] == order


def test_parts_that_wait_for_a_core_can_be_abandoned() -> None:
    spread, go, began = cpu.CpuPool(), threading.Event(), threading.Event()
    done: list[int] = []

    def compute(part: Sequence[CropRef]) -> Any:
        began.set()
        go.wait(20)
        done.append(len(part))
        return np.zeros((len(part), 1), np.float32)

    with ThreadPoolExecutor(1) as caller:
        call = caller.submit(spread.compute, compute, [(index, False) for index in range(1000)])
        assert began.wait(20)
        spread.abandon()
        go.set()
        with pytest.raises(CancelledError):
            call.result(20)
    assert len(done) <= 2 * spread.cores, "only parts that had started"
    assert spread.compute(lambda part: np.ones((len(part), 1), np.float32), [(0, False)]) == 1


@pytest.mark.parametrize("devices", [1, 2])
def test_every_pass_of_a_stream_has_the_same_size(read: list[int], devices: int) -> None:
    first, second, crop_set = detector("one"), detector("other", seed=1), CropSet(natural_crops(3), ORDER)
    pool = CudaPool((first, second, first), [CPU] * devices, batch=4)
    logits = pool.logits(crop_set)
    assert read == [4, 4, 4, 4], "five crops for each of two encoders"
    np.testing.assert_allclose(logits, runtime(first, second, first).logits(crop_set), atol=1e-5)


def test_batches_use_every_device_and_come_back_in_order() -> None:
    model = detector("one")
    pool, alone = CudaPool([model], [CPU, CPU], batch=4), runtime(model)
    assert pool.count == 4
    used = [pool._free.get() for _ in range(4)]
    encoders = [id(stream._groups[0].detectors[0].encoder) for stream in used]
    assert encoders[0] == encoders[2] != encoders[1] == encoders[3], "one copy per device, in turn"
    for stream in used:
        pool._free.put(stream)
    batches = [CropSet.plain(natural_crops(number % 7 + 1, seed=number)) for number in range(20)]
    with ThreadPoolExecutor(6) as callers:
        for batch, logits in zip(batches, callers.map(pool.logits, batches), strict=True):
            np.testing.assert_allclose(logits, alone.logits(batch), atol=1e-5)


def test_devices_of_one_kind_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ["A", "B", "A"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(
        torch.cuda, "get_device_name", lambda device: kinds[getattr(device, "index", device) or 0]
    )
    assert devices_like(torch.device("cuda")) == [torch.device("cuda", 0), torch.device("cuda", 2)]


def test_a_stream_is_free_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, crop_set = CudaPool([detector("one")], [CPU], batch=4), CropSet.plain(natural_crops(1))

    def fails(*_: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(ClipEncoder, "read", fails)
        for _ in range(3):
            with pytest.raises(MemoryError):
                pool.logits(crop_set)
    assert pool.logits(crop_set).shape == (1, 1)


@pytest.mark.parametrize("models", [("one",), ("one", "blind")])
def test_compiled_networks_give_the_same_logits(monkeypatch: pytest.MonkeyPatch, models: tuple[str]) -> None:
    """Traced as a whole, without Python between its parts; a compiler of C++ is not needed here."""
    monkeypatch.setattr(cuda, "_BACKEND", "aot_eager")
    detectors, crop_set = [detector(name) for name in models], CropSet(natural_crops(3), ORDER)
    if "blind" in models:
        detectors[1].encoder.__class__ = Alike
    plain, compiled = (CudaPool(detectors, [CPU], batch=4, mode=mode) for mode in ("eager", "compiled"))
    np.testing.assert_allclose(compiled.logits(crop_set), plain.logits(crop_set), atol=1e-5)


def test_the_bundled_detector_can_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_BACKEND", "aot_eager")
    detectors, crop_set = load_detectors(["mini"]), CropSet(natural_crops(3), ORDER)
    plain, compiled = (CudaPool(detectors, [CPU], batch=4, mode=mode) for mode in ("eager", "compiled"))
    np.testing.assert_allclose(compiled.logits(crop_set), plain.logits(crop_set), atol=1e-4)


def test_a_mode_that_does_not_work_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_BACKEND", "none-of-this-name")
    with pytest.raises(RuntimeUnavailable, match="can't run as compiled on CUDA") as raised:
        CudaPool([detector("one")], [CPU], batch=4, mode="compiled")
    assert raised.value.remedy == "Leave --cuda-mode out."


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a CUDA device")
def test_recorded_networks_give_the_same_logits() -> None:
    device, crop_set = torch.device("cuda"), CropSet(natural_crops(3), ORDER)
    first = detector("one")
    first.encoder.to(device)
    first.head.to(device)
    plain, recorded = (CudaPool([first], [device], batch=4, mode=mode) for mode in ("eager", "graphs"))
    for _ in range(3):
        np.testing.assert_array_equal(recorded.logits(crop_set), plain.logits(crop_set))
