"""NVIDIA devices, and whether the CUDA versions of driver, PyTorch and ONNX Runtime fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sidscan.doctor import CheckResult, check
from sidscan.doctor.probes import ProbeFailed, Probes
from sidscan.libraries import install_command

_DEVICE = Path("/dev/nvidia0")


@check("gpu")
def gpu(probes: Probes) -> Iterator[CheckResult]:
    """NVIDIA devices by their driver; whether PyTorch sees them, too."""
    try:
        lines = [line.strip() for line in probes.nvidia_smi.output.splitlines() if line.strip()]
    except ProbeFailed as error:
        if not _DEVICE.exists():
            yield CheckResult("gpu", "ok", "no NVIDIA device; scans use the CPU", facts={"devices": []})
            return
        text = f"{_DEVICE} is there, but nvidia-smi gives no answer: {error}"
        remedy = "Install the NVIDIA driver again, or restart the machine; until then scans use the CPU."
        yield CheckResult("gpu", "problem", text, remedy, facts={"devices": []})
        return
    facts = {"devices": lines}
    loaded = _facts(lambda: probes.torch)
    if loaded and not loaded["devices"]:
        built = f"is built for CUDA {loaded['cuda']}" if loaded["cuda"] else "is built for the CPU"
        text = f"{'; '.join(lines)}; but PyTorch {built} and sees no device"
        yield CheckResult("gpu", "problem", text, _remedy(loaded), facts=facts)
        return
    yield CheckResult("gpu", "ok", "; ".join(lines), facts=facts)


@check("cuda")
def cuda(probes: Probes) -> Iterator[CheckResult]:
    """CUDA of PyTorch beside that of ONNX Runtime, which uses the libraries that PyTorch brings."""
    torch, onnx = _facts(lambda: probes.torch), _facts(lambda: probes.onnxruntime.facts)
    versions = {"torch": torch.get("cuda"), "onnxruntime": onnx.get("cuda"), "cudnn": torch.get("cudnn")}
    there = [(name, version) for name, version in versions.items() if version]
    if not there:
        yield CheckResult("cuda", "ok", "neither PyTorch nor ONNX Runtime is built for it", facts=versions)
        return
    text = ", ".join(f"{name} {version}" for name, version in there)
    majors = {str(versions[name]).partition(".")[0] for name in ("torch", "onnxruntime") if versions[name]}
    if len(majors) == 1:
        yield CheckResult("cuda", "ok", text, facts=versions)
        return
    yield CheckResult(
        "cuda",
        "note",
        f"{text}: ONNX Runtime can't use the CUDA libraries that PyTorch brings, and needs its own for "
        "--runtime onnx --device cuda",
        f"`{install_command('onnxruntime-gpu[cuda,cudnn]')}` brings them.",
        facts=versions,
    )


def _remedy(loaded: Mapping[str, Any]) -> str:
    if loaded["cuda"]:
        return "Update the NVIDIA driver: `nvidia-smi` names the newest CUDA that it serves."
    return f"`{install_command('--force-reinstall', 'torch')}` installs PyTorch with CUDA."


def _facts(ask: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """What a library says; nothing where it can't be loaded, which its own check says."""
    try:
        return ask()
    except ProbeFailed:
        return {}
