"""How often `double_jpeg` and `jpeg_before` are found where they are known to be, and where they are not.

    python benchmarks/double_jpeg.py FOLDER --out benchmarks/results/double_jpeg.json

The truth is made: photographs with sides of 1,500 pixels or more are reduced two to four times, which removes
the traces of their own JPEG, and 768 x 512 pixels of their middle are saved once, twice, or in another format
first.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from sidscan.config import ReadLimits
from sidscan.images.decode import decode
from sidscan.images.items import OpenedImage
from sidscan.images.lossless import is_lossless
from sidscan.provenance.blocks import Budget
from sidscan.provenance.metadata import Metadata
from sidscan.records import ImageInfo
from sidscan.traces import TracedImage, double_jpeg, jpeg_before

QUALITIES = range(50, 100, 5)
SINGLE_QUALITIES = (50, 55, 60, 65, 70, 75, 80, 85, 90, 92, 95, 98, 100)
BEFORE_QUALITIES = (50, 60, 70, 75, 80, 85, 90, 93, 95, 98)
SUBSAMPLINGS = {0: "4:4:4", 2: "4:2:0"}
OTHER_CODECS = {"WEBP": {"quality": 80}, "AVIF": {"quality": 60, "speed": 9}}
SMALLEST_SIDE, WIDTH, HEIGHT = 1500, 768, 512


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="photographs as JPEG")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--grid-images", type=int, default=20, help="of them, for each pair of qualities")
    options = parser.parse_args()
    images = list(reduced_photographs(options.folder, options.images))
    result = measure(images, images[: options.grid_images])
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    return 0


def measure(images: Sequence[Image.Image], few: Sequence[Image.Image]) -> dict[str, object]:
    return {
        "command": "python benchmarks/double_jpeg.py FOLDER",
        "images": len(images),
        "images_per_pair": len(few),
        "double_jpeg": measure_double(images, few),
        "jpeg_before": measure_before(images),
        "median_ms": {
            "double_jpeg": median_ms(saved(image, 90) for image in images),
            "jpeg_before": median_ms(png(image) for image in images),
        },
    }


def measure_double(images: Sequence[Image.Image], few: Sequence[Image.Image]) -> dict[str, object]:
    return {
        "false_alarms": {
            name: {
                last: share(images, partial(saved, quality=last, subsampling=code), is_double)
                for last in SINGLE_QUALITIES
            }
            for code, name in SUBSAMPLINGS.items()
        },
        "false_alarms_after_other_codecs": {
            codec: share(images, partial(saved_after, codec=codec), is_double) for codec in OTHER_CODECS
        },
        "found_by_earlier_and_last_quality": {
            first: {
                last: share(few, partial(saved_twice, first=first, last=last), is_double)
                for last in QUALITIES
            }
            for first in QUALITIES
        },
    }


def measure_before(images: Sequence[Image.Image]) -> dict[str, object]:
    return {
        "false_alarms": share(images, png, was_jpeg),
        "false_alarms_after_other_codecs": {
            codec: share(images, partial(png_after, codec=codec), was_jpeg) for codec in OTHER_CODECS
        },
        "found_by_quality": {
            first: share(images, partial(png_of_jpeg, first=first), was_jpeg) for first in BEFORE_QUALITIES
        },
        "found_by_quality_cropped": {
            first: share(images, partial(png_of_jpeg, first=first, crop=True), was_jpeg)
            for first in BEFORE_QUALITIES
        },
    }


def reduced_photographs(folder: Path, most: int) -> Iterator[Image.Image]:
    """Parts of photographs, without what their own compression left."""
    generator = random.Random(1)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for path in paths:
        try:
            image = Image.open(path).convert("RGB")
        except OSError:
            continue
        if most > 0 and min(image.size) >= SMALLEST_SIDE:
            factor = generator.choice([factor for factor in (2, 3, 4) if min(image.size) // factor >= HEIGHT])
            small = image.resize((image.width // factor, image.height // factor), Image.Resampling.LANCZOS)
            left, top = max(small.width - WIDTH, 0) // 2, max(small.height - HEIGHT, 0) // 2
            most -= 1
            yield small.crop((left, top, min(left + WIDTH, small.width), min(top + HEIGHT, small.height)))


def share(
    images: Sequence[Image.Image], make: Callable[[Image.Image], bytes], found: Callable[[bytes], bool]
) -> float:
    return round(sum(found(make(image)) for image in images) / len(images), 3)


def saved(image: Image.Image, quality: int, subsampling: int = 2) -> bytes:
    return encoded(image, "JPEG", quality=quality, subsampling=subsampling)


def png(image: Image.Image) -> bytes:
    return encoded(image, "PNG", compress_level=1)


def encoded(image: Image.Image, image_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def saved_twice(image: Image.Image, first: int, last: int) -> bytes:
    return saved(reopened(saved(image, first)), last)


def saved_after(image: Image.Image, codec: str) -> bytes:
    return saved(reopened(encoded(image, codec, **OTHER_CODECS[codec])), 90)


def png_after(image: Image.Image, codec: str) -> bytes:
    return png(reopened(encoded(image, codec, **OTHER_CODECS[codec])))


def png_of_jpeg(image: Image.Image, first: int, crop: bool = False) -> bytes:
    """Cropped, five columns and three rows are missing: the blocks begin elsewhere."""
    jpeg = reopened(saved(image, first))
    return png(jpeg.crop((5, 3, jpeg.width, jpeg.height)) if crop else jpeg)


def reopened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def traced(data: bytes) -> TracedImage:
    source = decode(data)
    info = ImageInfo(format=source.format, lossless=is_lossless(source.format, data))
    return TracedImage(data, "", OpenedImage(source, data, None), info, Metadata(Budget(0)), ReadLimits())


def is_double(data: bytes) -> bool:
    return any(double_jpeg.find(traced(data)))


def was_jpeg(data: bytes) -> bool:
    return any(jpeg_before.find(traced(data)))


def median_ms(files: Iterator[bytes]) -> float:
    """Of the finder alone, on images that are decoded."""
    times = []
    for data in files:
        image = traced(data)
        find = double_jpeg.find if data.startswith(b"\xff\xd8") else jpeg_before.find
        started = time.perf_counter()
        list(find(image))
        times.append(1000 * (time.perf_counter() - started))
    return round(statistics.median(times), 2)


if __name__ == "__main__":
    sys.exit(main())
