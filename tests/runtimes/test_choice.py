"""What computes a scan's models, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from sidscan.config import ScanConfig
from sidscan.errors import RuntimeUnavailable
from sidscan.models.onnx_graph import graph_path
from sidscan.models.refs import ModelRef
from sidscan.runtimes import accelerators, choice, open_runtime, precision_check
from sidscan.runtimes.choice import Asked, choose_runtime, options_for_graphs

ITS, THEIRS = "its graph comes with sidscan", "their graphs come with sidscan"
BF16 = "PyTorch, since this CPU multiplies bf16 itself"
GPU = "PyTorch, since there may be a GPU"
MINI, RINE, BOTH = ("mini",), ("rine-b16",), ("mini", "rine-b16")
# Models, options, what the machine has, and whether graphs are taken, and why.
CHOICES: list[tuple[tuple[str, ...], dict[str, Any], str, bool, str]] = [
    (MINI, {}, "torch", True, ITS),
    (MINI, {}, "torch bf16", True, ITS),
    (MINI, {}, "torch bf16 gpu", False, GPU),
    (MINI, {}, "bf16 gpu", True, ITS),
    (MINI, {"device": "cpu"}, "torch gpu", True, ITS),
    (MINI, {"device": "cuda"}, "torch", False, "--device cuda"),
    (RINE, {}, "torch", True, ITS),
    (RINE, {}, "torch bf16", False, BF16),
    (RINE, {"device": "cpu"}, "torch bf16", False, BF16),
    (RINE, {}, "bf16", True, ITS),
    (RINE, {"precision": "fp32"}, "torch bf16", True, ITS),
    (RINE, {"precision": "bf16"}, "torch", False, "--precision bf16"),
    (RINE, {"runtime": "onnx"}, "torch bf16", True, "asked for"),
    (RINE, {"runtime": "onnx"}, "torch bf16 gpu", False, GPU),
    (RINE, {"runtime": "onnx", "device": "cpu"}, "torch bf16 gpu", True, "asked for"),
    (RINE, {"runtime": "pytorch"}, "torch", False, "asked for"),
    (RINE, {"encoder": Path("encoder.pt")}, "torch", False, "graphs take no --encoder"),
    (BOTH, {}, "torch", True, THEIRS),
    (BOTH, {}, "torch bf16", False, BF16),
    (BOTH, {"runtime": "onnx"}, "torch bf16", True, "asked for"),
    (("rine",), {}, "torch", False, "no graph of rine comes with sidscan"),
    (("scores.onnx",), {}, "torch", False, "an exported graph"),
]


@pytest.mark.parametrize(
    ("models", "options", "there", "graphs", "why"),
    CHOICES,
    ids=[f"{'+'.join(m)} {' '.join(f'{k}={v}' for k, v in o.items())} on {t}" for m, o, t, *_ in CHOICES],
)
def test_choice(
    models: tuple[str, ...],
    options: dict[str, Any],
    there: str,
    graphs: bool,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has = there.split()
    modules = {"torch"} & set(has)
    monkeypatch.setattr(choice, "is_there", modules.__contains__)
    monkeypatch.setattr(accelerators, "may_be_there", lambda: "gpu" in has)
    monkeypatch.setattr(precision_check, "has_fast_bf16", lambda: "bf16" in has)
    config = ScanConfig(inputs=("-",), models=models, **options)
    assert choose_runtime(config, list(map(ModelRef.parse, models))) == (graphs, why)


@pytest.mark.parametrize(
    ("options", "gpu", "expected"),
    [
        ({}, False, "--runtime onnx"),
        ({"device": "cpu"}, True, "--runtime onnx"),
        ({}, True, "--runtime onnx --device cpu"),
        ({"runtime": "pytorch"}, False, "--runtime onnx"),
        ({"device": "cuda"}, True, ""),
        ({"precision": "bf16"}, False, ""),
    ],
)
def test_options_for_graphs(
    options: dict[str, Any], gpu: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerators, "may_be_there", lambda: gpu)
    config = ScanConfig(inputs=("-",), models=RINE, **options)
    assert options_for_graphs(config, [ModelRef.parse("rine-b16")]) == expected


def test_a_broken_torch_is_no_reason_to_give_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libtorch.so: file too short')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(precision_check, "has_fast_bf16", lambda: True)
    monkeypatch.setattr(accelerators, "may_be_there", lambda: False)
    with pytest.raises(RuntimeUnavailable) as raised:
        open_runtime(ScanConfig(inputs=("-",), models=RINE), [ModelRef.parse("rine-b16")])
    assert raised.value.message == (
        "computing rine-b16 by PyTorch needs torch, which can't be loaded: libtorch.so: file too short"
    )
    assert raised.value.remedy.endswith("Or scan without PyTorch: `--runtime onnx`.")


@pytest.mark.parametrize(
    ("exported", "precision", "graphs"),
    [
        ("fp32", "auto", False),
        ("fp16", "auto", False),
        ("fp16", "fp32", True),
        ("fp32", "fp32", False),
        ("", "auto", True),
    ],
)
def test_an_exported_graph_goes_before_the_bundled_one(exported: str, precision: Any, graphs: bool) -> None:
    if exported:
        path = graph_path(["mini"], exported)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    config = ScanConfig(inputs=("-",), models=MINI, runtime="onnx", device="cpu", precision=precision)
    assert choose_runtime(config, [ModelRef.parse("mini")]).bundled_graphs is graphs


@pytest.mark.parametrize(
    ("options", "there", "graphs", "why"),
    [
        ({}, "torch", True, ITS),
        ({}, "torch bf16", False, BF16),
        ({}, "bf16", True, ITS),
        ({"device": "cuda"}, "torch", False, "--device cuda"),
        ({"runtime": "pytorch"}, "torch", False, "asked for"),
    ],
    ids=str,
)
def test_choice_for_a_localizer(
    options: dict[str, Any], there: str, graphs: bool, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "is_there", there.split().__contains__)
    monkeypatch.setattr(accelerators, "may_be_there", lambda: False)
    monkeypatch.setattr(precision_check, "has_fast_bf16", lambda: "bf16" in there)
    assert choose_runtime(Asked(**options), [ModelRef.parse("localizer-b16")]) == (graphs, why)
