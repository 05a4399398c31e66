"""Copies of images: which kinds are found, what is wrongly found, and what the search takes.

    python benchmarks/copies.py FOLDER --images 300 --search 100000 --out FILE
    python benchmarks/copies.py --alike 100000 --out FILE
    python benchmarks/copies.py --growth 100000 --out FILE

FOLDER holds unrelated photographs, of any formats; all are hashed as a scan hashes them. Of some of them,
copies of each kind are made, and looked up among all photographs.

Recall is the share of copies whose original is found. Precision is the share of what is found that is the
original. Pairs of photographs of the folder that are found, though nobody copied them, are listed by name:
somebody must look whether they are copies in truth, as in folders from the web some are.

The grouping is timed by itself, in a process of its own, on hashes of parts of the photographs. `--alike`
times it where many images look alike: all hashes are one in which a share of the bits changed by chance. With
a small share, all are copies; with a larger one, many are compared that are none. `--growth` times a quarter,
half and all of many unlike hashes, as one scan groups them and as a run of shards does.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from record import publish, stamp

from sidscan.config import ReadLimits
from sidscan.images import crops, decode
from sidscan.images.exif import read_exif
from sidscan.images.perceptual_hash import perceptual_hash
from sidscan.images.thumbnails import small_image
from sidscan.records import ImageInfo, Kind, ScanResult, Status
from sidscan.review.copies import find_copies
from sidscan.review.many_copies import find_copies_among_many
from sidscan.review.near_hashes import MOST_BITS, MOST_LOW_BITS, HashIndex

_LIMITS = ReadLimits()
_LEAST_SIDE = 200  # pixels; icons are no photographs
_SHARES = (0.06, 0.09, 0.12, 0.15, 0.17, 0.2, 0.25, 0.5)  # by 0.5, nothing is left of what they stem from
_PARTS = 60  # of an image, for the search
Change = Callable[[Image.Image, random.Random], Image.Image]


def hash_of(data: bytes) -> str:
    """As a scan makes it."""
    source = decode.decode(data, _LIMITS, partial(crops.needed_rows, crops="ten"))
    exif, _ = read_exif(source, data, _LIMITS)
    return perceptual_hash(small_image(source, data, exif.orientation))


def _saved(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    if quality:
        image.save(file, "JPEG", quality=quality)
    else:
        image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _resized(image: Image.Image, side: int) -> Image.Image:
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _cropped(image: Image.Image, kept: float, chance: random.Random) -> Image.Image:
    """A part with this share of each side, anywhere."""
    width, height = (int(side * kept) for side in image.size)
    left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def _bordered(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, max(image.size) // 33, "white")


def _edited(image: Image.Image) -> Image.Image:
    for change, factor in (
        (ImageEnhance.Contrast, 1.2),
        (ImageEnhance.Brightness, 1.2),
        (ImageEnhance.Color, 1.4),
    ):
        image = change(image).enhance(factor)
    return image


# Name, what is done to the pixels, and the JPEG quality it is saved with; 0 for PNG.
KINDS: tuple[tuple[str, Change, int], ...] = (
    ("saved again as JPEG 75", lambda image, _: image, 75),
    ("half the size, JPEG 90", lambda image, _: _resized(image, max(image.size) // 2), 90),
    ("cropped: 10 % of the area gone, JPEG 90", lambda image, chance: _cropped(image, 0.9**0.5, chance), 90),
    ("cropped: 10 % of each side gone, JPEG 90", lambda image, chance: _cropped(image, 0.9, chance), 90),
    ("messenger: at most 1600 pixels, JPEG 70, no EXIF", lambda image, _: _resized(image, 1600), 70),
    ("preview: at most 480 pixels, JPEG 50", lambda image, _: _resized(image, 480), 50),
    ("mirrored, JPEG 90", lambda image, _: ImageOps.mirror(image), 90),
    ("rotated by 90 degrees, JPEG 90", lambda image, _: image.transpose(Image.Transpose.ROTATE_90), 90),
    ("screenshot: white border of 3 %, PNG", lambda image, _: _bordered(image), 0),
    ("contrast, brightness and colour up by 20 to 40 %, JPEG 90", lambda image, _: _edited(image), 90),
)  # fmt: skip


def photographs(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Files of a folder that can be decoded and are not small, in a random order that is always the same."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    random.Random(0).shuffle(paths)
    for path in paths:
        data = path.read_bytes()
        try:
            with Image.open(io.BytesIO(data)) as image:
                if min(image.size) >= _LEAST_SIDE:
                    yield path, data
        except Exception as error:
            print(f"left out: {path}: {error}")


def measure(folder: Path, images: int, search: int) -> dict[str, Any]:
    """All of it."""
    hashes: list[str] = []
    names: list[str] = []
    copies: list[dict[str, str]] = []
    flat = 0
    parts: list[str] = []
    for path, data in photographs(folder):
        try:
            found = hash_of(data)
        except Exception as error:
            print(f"left out: {path}: {error}")
            continue
        if not found:
            flat += 1
            continue
        chance = random.Random(len(hashes))
        with Image.open(io.BytesIO(data)) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
        if len(copies) < images:
            copies.append(
                {kind: hash_of(_saved(make(upright, chance), quality)) for kind, make, quality in KINDS}
            )
        if len(parts) < search:
            parts += part_hashes(upright, chance)
        hashes.append(found)
        names.append(str(path.relative_to(folder)))
    index = HashIndex(hashes)
    pairs = [
        (names[place], names[near.index], near.distance, near.transform)
        for place, nears in enumerate(index.near_each(hashes))
        for near in nears
        if near.index > place
    ]
    related = {tuple(sorted(pair[:2])) for pair in pairs}
    return {
        "limits": {"bits": MOST_BITS, "bits of the first 64": MOST_LOW_BITS},
        "photographs": len(hashes),
        "with too little detail": flat,
        "kinds": [kind_result(kind, copies, index, names, related) for kind, *_ in KINDS],
        "pairs among the photographs": len(pairs),
        "with equal hashes": sum(pair[2] == 0 for pair in pairs),
        "pairs at a distance": [pair for pair in sorted(pairs, key=lambda pair: pair[2]) if pair[2] > 0],
        "search": search_result(parts[:search]),
    }


def kind_result(
    kind: str, copies: list[dict[str, str]], index: HashIndex, names: list[str], related: set[tuple[str, ...]]
) -> dict[str, Any]:
    """Recall and precision of one kind; photographs found to be copies of the original are right, too."""
    right = others = wrong = 0
    for place, made in enumerate(copies):
        for near in index.near(made[kind]):
            pair = tuple(sorted((names[place], names[near.index])))
            right += near.index == place
            others += near.index != place and pair in related
            wrong += near.index != place and pair not in related
    return {
        "kind": kind,
        "copies": len(copies),
        "recall": round(right / len(copies), 4),
        "precision": round((right + others) / (right + others + wrong), 4)
        if right + others + wrong
        else None,
        "wrong": wrong,
    }


def part_hashes(image: Image.Image, chance: random.Random) -> list[str]:
    """Hashes of parts of an image: as unlike as those of other images, and as many as one wants."""
    small, hashes = _resized(image, 700), []
    for _ in range(_PARTS):
        part = _cropped(small, chance.uniform(0.2, 0.5), chance)
        part.thumbnail((160, 160))
        hashes.append(perceptual_hash(part))
    return [each for each in hashes if each]


def _results(hashes: list[str]) -> Iterator[ScanResult]:
    """Images with these hashes."""
    for number, each in enumerate(hashes):
        facts = ImageInfo(sha256=f"{number:064x}", perceptual_hash=each)
        yield ScanResult(f"archive/{number:07}.jpg", Kind.FILE, Status.SCORED, facts, "2026-01-01T00:00:00Z")


def search_result(hashes: list[str]) -> dict[str, Any]:
    """Seconds and memory of grouping this many images, in a process of its own."""
    random.Random(1).shuffle(hashes)
    return _in_own_process(_search, hashes)


def alike_result(number: int) -> dict[str, Any]:
    """`search_result` where all hashes stem from one, by the share of bits that changed."""
    return {f"{share:.0%} of bits": search_result(_alike(number, share)) for share in _SHARES}


def growth_result(number: int) -> list[dict[str, Any]]:
    """By how much the search grows with the number of hashes, each in a process of its own."""
    hashes = _alike(number, 0.5)
    return [_in_own_process(_search_as_a_run, hashes[: number // part]) for part in (4, 2, 1)]


def _in_own_process(search: Callable[[list[str]], dict[str, Any]], hashes: list[str]) -> dict[str, Any]:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(search, hashes).result()


def _search_as_a_run(hashes: list[str]) -> dict[str, Any]:
    result = _search(hashes)
    before = time.process_time()
    found = find_copies_among_many(_results(hashes))
    assert len(found) == result["images in groups"]
    return {**result, "processor seconds as a run of shards": round(time.process_time() - before, 1)}


def _alike(number: int, share: float) -> list[str]:
    generator = np.random.default_rng(1)
    base = generator.random(256) < 0.5
    changed = (base ^ (generator.random(256) < share) for _ in range(number))
    return [np.packbits(bits).tobytes().hex() for bits in changed]


def _search(hashes: list[str]) -> dict[str, Any]:
    find_copies(_results(hashes[:1]))  # modules and tables that all searches share
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.perf_counter(), time.process_time()
    found = find_copies(_results(hashes))
    return {
        "hashes": len(hashes),
        "seconds": round(time.perf_counter() - wall, 1),
        "processor seconds": round(time.process_time() - processor, 1),
        "memory added, MB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10,
        "images in groups": len(found),
    }


def main() -> None:
    """Measure, and print or write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=300, help="photographs of which copies are made")
    parser.add_argument("--search", type=int, default=100_000, help="hashes to search")
    parser.add_argument("--alike", type=int, help="so many hashes that look alike, and nothing else")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--growth", type=int, help="so many unlike hashes, and parts of them, and nothing else"
    )
    options = parser.parse_args()
    if options.growth:
        publish({**stamp("copies_growth", "numpy"), "search": growth_result(options.growth)}, options.out)
    elif options.alike:
        publish({**stamp("copies_alike", "numpy"), **alike_result(options.alike)}, options.out)
    elif options.folder:
        result = stamp("copies", "PIL", "numpy")
        publish({**result, **measure(options.folder, options.images, options.search)}, options.out)
    else:
        parser.error("FOLDER, --alike or --growth is needed")


if __name__ == "__main__":
    main()
