"""The facts that every result states: time, machine and versions."""

from __future__ import annotations

import importlib
import json
import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any


def stamp(benchmark: str, *modules: str) -> dict[str, Any]:
    """The first entries of a result."""
    return {
        "benchmark": benchmark,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count() or 1, "processor": _processor(), "system": platform.system()},
        "versions": {name: importlib.import_module(name).__version__ for name in ("sidscan", *modules)},
    }


def publish(result: dict[str, Any], out: Path | None) -> None:
    """Print a result, and write it to a file if one is given."""
    text = json.dumps(result, indent=2)
    print(text)
    if out:
        out.write_text(text + "\n", encoding="utf-8")


def _processor() -> str:
    """The processor's name if Linux states it, otherwise its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
