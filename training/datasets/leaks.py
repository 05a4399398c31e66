"""Images that are in several parts of a data set under different names: such a test flatters a detector."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .content import content_size, read_content
from .rows import LabelledImage


class Leak(NamedTuple):
    """Two images with equal bytes in two parts."""

    first: LabelledImage
    second: LabelledImage


def find_leaks(images: Iterable[LabelledImage]) -> Iterator[Leak]:
    """Pairs of equal images in different parts. Only files of equal size are read.

    Raises:
        OSError: one can't be read.
    """
    by_size: dict[int, list[LabelledImage]] = {}
    for image in images:
        if image.split:
            by_size.setdefault(content_size(image.path), []).append(image)
    for group in by_size.values():
        if len({image.split for image in group}) > 1:
            yield from _of_one_size(group)


def _of_one_size(images: Sequence[LabelledImage]) -> Iterator[Leak]:
    seen: dict[bytes, LabelledImage] = {}
    for image in images:
        first = seen.setdefault(hashlib.sha256(read_content(image.path)).digest(), image)
        if first.split != image.split:
            yield Leak(first, image)
