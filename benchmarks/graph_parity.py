"""Rows of PyTorch in fp32 and of the graphs that come with sidscan: how far apart are they, on real images?

    python benchmarks/graph_parity.py FOLDER [--model mini] [--images 5000] [--out FILE]

Both scan the same files, found by name below FOLDER, with the efforts that a scan has by default.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from record import publish, stamp

from sidscan import ScanConfig, ScanResult, Status, scan
from sidscan.config import RuntimeName

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp")


def results_of(names: Sequence[str], model: str, runtime: RuntimeName) -> tuple[dict[str, ScanResult], str]:
    """Results by name, and what computed them."""
    config = ScanConfig(inputs=tuple(names), models=(model,), runtime=runtime, device="cpu", precision="fp32")
    run = scan(config)
    results = {result.name: result for result in run}
    return results, run.record.header().runtime


def compare(before: dict[str, ScanResult], after: dict[str, ScanResult]) -> dict[str, object]:
    """Differences of rows that both scored, and whether the same ones were scored."""
    scored = [name for name, result in before.items() if result.status is Status.SCORED]
    pairs = [(before[name].scores[0], after[name].scores[0]) for name in scored if after[name].scores]
    logits = np.array([(one.logit, other.logit) for one, other in pairs])
    difference = np.abs(logits[:, 0] - logits[:, 1])
    return {
        "images": len(before),
        "scored": len(scored),
        "scored_by_one_alone": sum(before[name].status != after[name].status for name in before),
        "largest_logit_difference": float(difference.max()),
        "median_logit_difference": float(np.median(difference)),
        "words_of_evidence_that_differ": sum(one.evidence != other.evidence for one, other in pairs),
        "reasons_that_differ": sum(one.inconclusive != other.inconclusive for one, other in pairs),
        "cautions_that_differ": sum(one.cautions != other.cautions for one, other in pairs),
        "numbers_of_crops_that_differ": sum(before[name].views != after[name].views for name in scored),
    }


def main() -> None:
    """Scan twice, compare, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = sorted(str(path) for path in options.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    names = sorted(random.Random(0).sample(found, min(options.images, len(found))))
    before, by_pytorch = results_of(names, options.model, "pytorch")
    after, by_graph = results_of(names, options.model, "auto")
    result = {
        **stamp("graph_parity", "torch", "onnxruntime"),
        "model": options.model,
        "runtimes": [by_pytorch, by_graph],
        **compare(before, after),
    }
    publish(result, options.out)


if __name__ == "__main__":
    main()
