"""The files of a labelled data set: bytes, digest, format and size of each, and counts of all."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from sidscan.errors import UsageError
from sidscan.images.formats import pillow_formats

from .content import read_content
from .layouts.manifest import relative_path
from .rows import LabelledImage

COLUMNS = (
    *("path", "label", "split", "set", "generator", "class"),
    *("bytes", "sha256", "format", "width", "height"),
)
UNREAD = "not an image"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One image's file.

    Attributes:
        size: in bytes.
        format: Pillow's name; `UNREAD` where its header can't be read, and then both sides are 0.
    """

    size: int
    sha256: str
    format: str
    width: int
    height: int


@dataclass
class Totals:
    """Counts over a data set; only digests and counts are kept.

    Attributes:
        size: of all files, in bytes.
        groups: part, set, label and generator -> images.
        formats: label and format -> images.
        sides: label -> longer sides in pixels -> images.
        copies: images whose bytes came before.
    """

    images: int = 0
    size: int = 0
    copies: int = 0
    groups: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    formats: Counter[tuple[str, str]] = field(default_factory=Counter)
    sides: dict[str, Counter[int]] = field(default_factory=dict)
    _seen: set[bytes] = field(default_factory=set)

    def add(self, image: LabelledImage, facts: FileFacts) -> None:
        """Count one image."""
        self.images += 1
        self.size += facts.size
        digest = bytes.fromhex(facts.sha256)
        self.copies += digest in self._seen
        self._seen.add(digest)
        self.groups[image.split, image.set, image.label, image.generator] += 1
        self.formats[image.label, facts.format] += 1
        if facts.width:
            self.sides.setdefault(image.label, Counter())[max(facts.width, facts.height)] += 1

    def side_quantiles(self, label: str) -> tuple[int, int, int]:
        """Smallest, median and greatest longer side of the images of a label; zeros without any."""
        counts = self.sides.get(label)
        if not counts:
            return 0, 0, 0
        ordered, middle = sorted(counts), (counts.total() + 1) // 2
        for side in ordered:
            middle -= counts[side]
            if middle <= 0:
                break
        return ordered[0], side, ordered[-1]


def read_facts(path: Path) -> FileFacts:
    """Read a file or a member of an archive; of the image, its header alone.

    Raises:
        UsageError: it can't be read.
    """
    try:
        data = read_content(path)
    except OSError as error:
        raise UsageError(
            f"an image can't be read: {path}: {error.strerror or error}", "Repair it, or leave it out."
        ) from error
    return FileFacts(len(data), hashlib.sha256(data).hexdigest(), *_header(data))


def _header(data: bytes) -> tuple[str, int, int]:
    """Format, width and height, of the formats that a scan reads by Pillow; of an image of any size."""
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(io.BytesIO(data), formats=pillow_formats()) as image:
            return image.format or UNREAD, image.width, image.height
    except Exception:  # Pillow's readers raise almost any class on damaged headers
        return UNREAD, 0, 0
    finally:
        Image.MAX_IMAGE_PIXELS = most


def inventory_rows(
    images: Iterable[LabelledImage], totals: Totals, folder: Path
) -> Iterator[tuple[object, ...]]:
    """Cells of `COLUMNS` for each image, which is added to the totals.

    Args:
        folder: that paths are relative to.

    Raises:
        UsageError: an image can't be read.
    """
    for image in images:
        facts = read_facts(image.path)
        totals.add(image, facts)
        named = (image.label, image.split, image.set, image.generator, image.group)
        size = (facts.format, facts.width or "", facts.height or "")
        yield (relative_path(image.path, folder), *named, facts.size, facts.sha256, *size)
