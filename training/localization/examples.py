"""Images with masks that say where they are synthetic, and real images without: parts of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.training.datasets.content import content_size, has_content
from sidscan.training.datasets.reading import read_data_set
from sidscan.training.datasets.rows import LabelledImage, Split, StatedSplit, Wanted, split_images

_SHOWN = 3  # names that a message lists


def list_data_set(
    data: Path, layout: str = "auto", sets: Sequence[str] = (), split: StatedSplit = ""
) -> list[LabelledImage]:
    """All images of a data set, or those of some of its sets with the real images that all sets share.

    Args:
        split: the part that is needed; a layout may leave out others.

    Raises:
        UsageError: the data set has no known layout, lacks one of ``sets``, or has no masks.
    """
    return read_data_set(data, layout, Wanted(sets=tuple(sets), split=split, masks=True))


def choose_images(
    images: Sequence[LabelledImage],
    split: Split,
    *,
    real: bool,
    black_is_synthetic: bool | None = None,
    held_out: float = 0.0,
) -> tuple[list[LabelledImage], bool]:
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


def require_masks(images: Sequence[LabelledImage]) -> None:
    """Check that every mask that a layout expects is there.

    Raises:
        UsageError: some are missing.
    """
    masked = sum(not image.is_real for image in images)
    missing = [image for image in images if not image.is_real and not _has_mask(image)]
    if not missing:
        return
    raise UsageError(
        f"masks are missing: {len(missing)} of {masked} images have none, "
        f"e.g. {missing[0].mask} for {', '.join(image.name for image in missing[:_SHOWN])}",
        "Restore the masks, or take these images out of the data set.",
    )


def require_distinct_masks(images: Sequence[LabelledImage]) -> None:
    """Check that no two images are told apart by their suffixes alone: they would share a mask.

    Raises:
        UsageError: there are such.
    """
    seen: dict[tuple[Path, Path | None], LabelledImage] = {}
    for image in images:
        first = seen.setdefault((image.path.with_suffix(""), image.mask), image)
        if first is not image and image.mask is not None:
            raise UsageError(
                f"{first.name} and {image.name} have one mask: {image.mask}",
                "Rename one of the images, and its mask.",
            )


def list_digest(images: Iterable[LabelledImage]) -> str:
    """sha256 (hex) over names, labels and sizes of files, in order. It reads no pixels."""
    digest = hashlib.sha256()
    for image in images:
        sizes = [content_size(path) for path in (image.path, image.mask) if path is not None]
        digest.update(f"{image.set} {image.black_is_synthetic:d} {sizes} {image.name}\n".encode())
    return digest.hexdigest()


def with_polarity(image: LabelledImage, black_is_synthetic: bool | None) -> LabelledImage:
    """The image, its mask read as the user says; None leaves it to the layout."""
    return image if black_is_synthetic is None else replace(image, black_is_synthetic=black_is_synthetic)


def _has_mask(image: LabelledImage) -> bool:
    return image.mask is not None and has_content(image.mask)
