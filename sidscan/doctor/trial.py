"""What a scan does before its first image, and one crop; in a process of its own (`Probes.trial`)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidscan.config import SIDE, ScanConfig
from sidscan.errors import SidscanError
from sidscan.libraries import first_line, is_there


def try_scan(options: Mapping[str, Any]) -> dict[str, object]:
    """The models, the runtime and the device of a scan with these options, and why; or its error.

    What loads with them, such as PyTorch, says of itself what it is.
    """
    try:
        facts = _opened(options)
    except SidscanError as error:
        facts = {"refused": error.message, "remedy": error.remedy, "exit_code": int(error.exit_code)}
    return facts | ({"torch": torch_facts()} if "torch" in sys.modules else {})


def torch_facts() -> dict[str, object]:
    """Versions of PyTorch, CUDA and cuDNN, and the devices that it sees. This loads it."""
    import torch

    sees = torch.cuda.is_available()
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.version.cuda else None,  # type: ignore[no-untyped-call]
        "torchvision": _why_not_loaded("torchvision"),
        "devices": [
            torch.cuda.get_device_name(each) for each in range(torch.cuda.device_count() if sees else 0)
        ],
    }


def _why_not_loaded(module: str) -> str:
    """What loading a module raises; empty where it loads, or is not there."""
    if not is_there(module):
        return ""
    try:
        importlib.import_module(module)
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"
    return ""


def _opened(options: Mapping[str, Any]) -> dict[str, object]:
    import numpy as np

    from sidscan.models.refs import choose_models
    from sidscan.records import CropSet
    from sidscan.runtimes import open_runtime
    from sidscan.runtimes.choice import choose_runtime

    encoder = options.get("encoder")
    config = ScanConfig(
        inputs=(".",),
        **{**options, "models": tuple(options["models"]), "encoder": Path(encoder) if encoder else None},
    )
    choice = choose_models(config.models)
    runtime = open_runtime(config, choice.models)
    logits = runtime.logits(CropSet.plain(np.zeros((1, SIDE, SIDE, 3), np.uint8)))
    return {
        "models": [detector.name for detector in runtime.detectors],
        "files": sorted({name for detector in runtime.detectors for name in detector.files}),
        "model_choice": str(choice),
        "is_fallback": choice.is_fallback,
        "remedy": choice.remedy,
        "runtime": runtime.info.runtime,
        "runtime_choice": choose_runtime(config, choice.models).why,
        "device": runtime.info.device,
        "precision": runtime.info.precision,
        "precision_choice": runtime.info.precision_choice,
        "finite": bool(np.isfinite(logits).all()),
    }
