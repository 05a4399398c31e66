"""Outcomes of trials of a faster precision, kept in the user's cache folder.

A trial computes some crops twice, which takes a second of every start. Its outcome depends on the weights, on
the libraries and on the processor, so it holds until one of these changes.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import NamedTuple

from sidscan._version import __version__
from sidscan.runtimes import precision_check
from sidscan.runtimes.precision_check import Differences
from sidscan.util.cache_folder import cache_folder
from sidscan.util.files import atomic_write

_PROCESSOR_FACTS = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")


class KeptTrial(NamedTuple):
    """What an earlier trial found.

    Attributes:
        tried: the day, as ISO 8601 writes it.
    """

    differences: Differences
    tried: str


def trial_file(weights: Sequence[str], libraries: Sequence[str]) -> Path | None:
    """Where the outcome of a trial is kept; None where the user has no cache folder.

    Args:
        weights: digests of what was tried, in the order of the trial.
        libraries: names and versions of what computes it.
    """
    folder = cache_folder("precision-trials")
    if folder is None:
        return None
    facts = [__version__, precision_check.CROPS, list(weights), list(libraries), _processor()]
    return folder / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]}.json"


def read_trial(path: Path | None) -> KeptTrial | None:
    """What was kept there; None where nothing was, or nothing that can be read."""
    if path is None:
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        differences = Differences(float(kept["logit"]), float(kept["score"]))
        tried = date.fromisoformat(kept["tried"]).isoformat()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return KeptTrial(differences, tried) if all(value >= 0 for value in differences) else None


def keep_trial(path: Path | None, differences: Differences) -> None:
    """Keep an outcome; where that is not possible, the next start tries again."""
    if path is None:
        return
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            outcome = {**differences._asdict(), "tried": date.today().isoformat()}  # noqa: DTZ011
            partial.write_text(json.dumps(outcome), encoding="utf-8")


def _processor() -> list[str]:
    """What tells this processor from others that may round differently."""
    try:
        lines = precision_check.CPU_FACTS.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return [platform.machine(), platform.processor()]
    return [line for line in lines if line.partition(":")[0].strip() in _PROCESSOR_FACTS]
