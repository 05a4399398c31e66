"""How often traces fire in a folder, how far previews lie from their images, and what both cost.

    python benchmarks/traces.py FOLDER --out benchmarks/results/traces.json

All previews are then swapped at random with those of other images: these should fire. Whether what fires in
the folder
itself is wrong is for a person to say: the result lists it.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image

from sidscan.config import ReadLimits
from sidscan.images import decode
from sidscan.images.exif import read_exif
from sidscan.images.items import OpenedImage
from sidscan.provenance.metadata import Metadata
from sidscan.records import ImageInfo
from sidscan.traces import TracedImage, second_image, trailing_data
from sidscan.traces.previews import previews

LIMITS = ReadLimits()
SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".gif",
    ".heic",
    ".heif",
    ".avif",
    ".tif",
    ".tiff",
    ".psd",
    ".dng",
    ".nef",
)
Compared = tuple[str, int, Image.Image, Image.Image, int | None]


class Survey:
    """What was found in a folder."""

    def __init__(self) -> None:
        self.kinds = Counter[str]()
        self.images = self.failed = self.with_trailing = 0
        self.compared: list[Compared] = []
        self.milliseconds: dict[str, list[float]] = {
            name: [] for name in ("trailing_data", "without_preview", "with_preview")
        }

    def add(self, path: Path) -> None:
        """Look at a file."""
        data = path.read_bytes()
        try:
            source = decode.decode(data, LIMITS)
            exif, _ = read_exif(source, data, LIMITS)
        except Exception:
            self.failed += 1
            return
        self.images += 1
        opened = OpenedImage(source, data, exif.orientation)
        image = TracedImage(data, path.name, opened, ImageInfo(), Metadata.of_file(data, 1 << 24), LIMITS)
        started = time.perf_counter()
        for trace in trailing_data.find(image):
            self.with_trailing += 1
            self.kinds[trace.detail.partition("image: ")[2]] += 1
        self.took("trailing_data", started)
        started = time.perf_counter()
        stored = [second_image.decoded(preview) for preview in previews(data, image.metadata)]
        if not stored:
            self.took("without_preview", started)
        for small in filter(None, stored):
            distance = second_image.least_distance(opened.small, small, opened.orientation)
            if distance is not None:
                self.compared.append((path.name, distance, opened.small, small, opened.orientation))
        if stored:
            self.took("with_preview", started)

    def took(self, what: str, started: float) -> None:
        """Note a time."""
        self.milliseconds[what].append(1000 * (time.perf_counter() - started))

    def swapped(self) -> list[int]:
        """Distances of images from the previews of others."""
        others = list(self.compared)
        random.Random(1).shuffle(others)
        distances = []
        for (name, _, small, _, orientation), (other, _, _, preview, _) in zip(
            self.compared, others, strict=True
        ):
            if name != other:
                distance = second_image.least_distance(small, preview, orientation)
                distances += [] if distance is None else [distance]
        return distances

    def summary(self) -> dict[str, Any]:
        """As the result file has it."""
        swapped, own = sorted(self.swapped()), sorted(each[1] for each in self.compared)
        fired = {name: distance for name, distance, *_ in self.compared if distance > second_image.THRESHOLD}
        return {
            "images": self.images,
            "not_decoded": self.failed,
            "trailing_data": {"images": self.with_trailing, "kinds": dict(self.kinds.most_common())},
            "second_image": {
                "threshold": second_image.THRESHOLD,
                "previews_compared": len(own),
                "fired": fired,
                "own_distance_percentiles": {p: own[len(own) * p // 100] for p in (50, 90, 99) if own},
                "swapped": len(swapped),
                "swapped_fired": sum(distance > second_image.THRESHOLD for distance in swapped),
                "swapped_least": swapped[:1],
            },
            "milliseconds": {
                name: {
                    "mean": round(statistics.fmean(times), 3),
                    "median": round(statistics.median(times), 3),
                }
                for name, times in self.milliseconds.items()
                if times
            },
        }


def main() -> None:
    """Look at every image below a folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    survey = Survey()
    for folder in arguments.folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix.lower() in SUFFIXES:
                survey.add(path)
    text = json.dumps(survey.summary(), indent=2) + "\n"
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
