"""What a layout is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..examples import MaskedImage


@dataclass(frozen=True)
class Layout:
    """How one kind of data set lies on a disk.

    Attributes:
        expected: where files are expected, for messages.
        recognises: whether a folder or file looks like such a data set.
        list_images: all images of a data set; it reads names only, and does not check that masks exist.
    """

    name: str
    expected: str
    recognises: Callable[[Path], bool]
    list_images: Callable[[Path], list[MaskedImage]]
