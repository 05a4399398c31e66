"""How data sets with masks lie on a disk: one module for each layout, and the table of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sidscan.errors import UsageError

from ..examples import (
    MaskedImage,
    Split,
    require_distinct_masks,
    require_masks,
    split_images,
    subfolders,
    with_polarity,
)
from . import autosplice, dolos, manifest, white_masks
from .base import Layout

LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (dolos.LAYOUT, autosplice.LAYOUT, white_masks.LAYOUT, manifest.LAYOUT)
}


def list_data_set(data: Path, layout: str = "auto", sets: Sequence[str] = ()) -> list[MaskedImage]:
    """All images of a data set, or those of some of its sets with the real images that all sets share.

    Raises:
        UsageError: the data set has no known layout, or lacks one of ``sets``.
    """
    if not data.exists():
        raise UsageError(f"no such data set: {data}", "Name its folder, or its manifest.")
    images = _layout_of(data, layout).list_images(data)
    known = sorted({image.set for image in images if image.set})
    if unknown := [name for name in sets if name not in known]:
        raise UsageError(
            f"{data} has no set called {', '.join(unknown)}", f"It has {', '.join(known) or 'none'}."
        )
    return [image for image in images if not sets or not image.set or image.set in sets]


def choose_images(
    images: Sequence[MaskedImage],
    split: Split,
    *,
    real: bool,
    black_is_synthetic: bool | None = None,
    held_out: float = 0.0,
) -> tuple[list[MaskedImage], bool]:
    """The images of one part, and whether the part was drawn here (`split_images`).

    Args:
        real: whether real images are wanted, too.
        black_is_synthetic: what the user says of masks; None leaves it to the layout.

    Raises:
        UsageError: the part has no image with a mask, masks are missing, or two images would share one.
    """
    part, drawn = split_images(images, split, held_out)
    chosen = [with_polarity(image, black_is_synthetic) for image in part if real or not image.is_real]
    if all(image.is_real for image in chosen):
        raise UsageError(
            f"the data set has no image with a mask for the part {split!r}",
            "Name another folder, set or layout.",
        )
    require_masks(chosen)
    require_distinct_masks(chosen)
    return chosen, drawn


def _layout_of(data: Path, name: str) -> Layout:
    if name != "auto":
        return LAYOUTS[name]
    found = [layout for layout in LAYOUTS.values() if layout.recognises(data)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(layout.name for layout in found) or "no layout"
    expected = "; ".join(f"{layout.name}: {layout.expected}" for layout in LAYOUTS.values())
    holds = ", ".join(subfolders(data)[:12]) or "no folder"
    raise UsageError(
        f"{data} looks like {names}; it holds {holds}", f"Name the layout with --layout. {expected}."
    )
