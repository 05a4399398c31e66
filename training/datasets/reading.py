"""Reads a labelled data set: `read_data_set` is what commands call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from sidscan.errors import UsageError

from .folders import entries, subfolders
from .layouts import Layout, all_layouts, find_layout
from .rows import LabelledImage, Wanted

AUTO = "auto"
_MOST_SHOWN = 12


def read_data_set(data: Path, layout: str = AUTO, wanted: Wanted | None = None) -> list[LabelledImage]:
    """The rows of a data set that are wanted, in the order of its layout.

    Real images without a set belong to all sets, so a choice of sets keeps them.

    Raises:
        UsageError: the data set has no known layout, or lacks one of the wanted sets or classes.
    """
    wanted = wanted or Wanted()
    chosen = choose_layout(data, layout, wanted.masks)
    images = list(chosen.images(data, wanted))
    if wanted.split == "valid":  # a data set may lack it
        return [image for image in images if wanted.has(image)]
    if not images and not wanted.sets:
        raise UsageError(
            f"{data} holds no image in the layout {chosen.name}",
            f"Expected {chosen.expected}; found {entries(data)}.",
        )
    if unknown := set(wanted.sets) - _set_names(images):
        known = _set_names(chosen.images(data, replace(wanted, sets=())))
        raise _unknown(f"{data} has no set called", wanted.sets, unknown, known)
    groups = {image.group for image in images}
    if unknown := set(wanted.classes) - groups:
        raise _unknown(f"{data} has no class called", wanted.classes, unknown, groups - {""})
    return [image for image in images if wanted.has(image)]


def choose_layout(data: Path, name: str = AUTO, masks: bool = False) -> Layout:
    """The layout of that name, or the one that a data set looks like.

    Args:
        masks: choose among layouts with masks.

    Raises:
        UsageError: there is no such data set, or it looks like none or several.
    """
    if not data.exists():
        raise UsageError(f"no such data set: {data}", "Name its folder, or its manifest.")
    if name != AUTO:
        return find_layout(name)
    known = [layout for layout in all_layouts().values() if layout.has_masks or not masks]
    found = [layout for layout in known if layout.recognises(data)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(layout.name for layout in found) or "no layout"
    holds = ", ".join(folder.name for folder in subfolders(data)[:_MOST_SHOWN]) or "no folder"
    raise UsageError(
        f"{data} looks like {names}; it holds {holds}",
        "Name the layout with --layout, or list the images in a manifest. Expected are:",
        [f"  {layout.name}: {layout.expected}" for layout in found or known],
    )


def _set_names(images: Iterable[LabelledImage]) -> set[str]:
    return {name for image in images for name in image.sets}


def _unknown(message: str, names: Iterable[str], unknown: set[str], known: set[str]) -> UsageError:
    named = ", ".join(name for name in names if name in unknown)
    has = ", ".join(sorted(known)) or "none"
    return UsageError(f"{message} {named}", f"It has {has}.")
