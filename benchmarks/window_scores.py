"""What do the windows of photographs score? How often does one reach the threshold where the image does not?

    python benchmarks/window_scores.py FOLDER --model mini --images 60 --out FILE

FOLDER holds photographs. Those whose evidence is inconclusive are left out.

A closer look scores a hundred windows where a scan averages ten crops, so some windows of most photographs
score high. Results are printed, and written as JSON with --out.
"""

from __future__ import annotations

import argparse
import random
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from record import publish, stamp

from sidscan import ScanConfig
from sidscan.pipeline import open_scan
from sidscan.review.closer_look import look_closer


def measure(files: list[Path], model: str, windows: int) -> dict[str, Any]:
    """Figures of all files whose evidence is conclusive."""
    config = ScanConfig(inputs=tuple(map(str, files)), models=(model,), windows=windows)
    with closing((run := open_scan(config)).journal):
        results = [result for result in run if result.scores and not result.scores[0].inconclusive]
        looks = [looked.look for looked in look_closer(run, results, with_image=False)]
    maps = [look.maps[0] for look in looks if look is not None]
    shares = [each.above / max(len(each.judged()), 1) for each in maps]
    return {
        "images": len(maps),
        "windows": sum(each.windows for each in maps),
        "images_at_threshold": sum(
            result.scores[0].score >= result.scores[0].threshold for result in results
        ),
        "images_with_a_window_at_threshold": sum(each.above > 0 for each in maps),
        "images_with_a_tenth_of_windows_at_threshold": sum(share >= 0.1 for share in shares),
        "median_of_highest_windows": median(each.highest[0] for each in maps if each.highest),
        "share_of_windows_at_threshold": sum(each.above for each in maps)
        / sum(len(each.judged()) for each in maps),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--windows", type=int, default=256)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    files = sorted(path for path in options.folder.rglob("*") if path.is_file())
    chosen = sorted(random.Random(0).sample(files, min(options.images, len(files))))
    figures = measure(chosen, options.model, options.windows)
    publish(
        {
            **stamp("window_scores", "torch", "PIL"),
            "model": options.model,
            "budget": options.windows,
            **figures,
        },
        options.out,
    )


if __name__ == "__main__":
    main()
