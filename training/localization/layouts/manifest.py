"""A table of your own: CSV with one row per image.

path        the image; relative paths start at the manifest's folder
mask        its mask, in which white is synthetic; empty for a real image
label       "synthetic" or "real"; may be left out, for the mask says it
split       train, valid, test, or empty
set         what figures are computed for; by default the manifest's name. Empty real images are shared
generator   what made the synthetic region
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.util.files import open_file

from ..examples import SPLITS, MaskedImage, split_called
from .base import Layout

_COLUMNS = ("path", "mask", "label", "split", "set", "generator")
_REQUIRED = ("path", "mask")
_EXPECTED = f"a CSV file with the columns {', '.join(_COLUMNS)}"


def _recognises(data: Path) -> bool:
    return data.suffix.lower() == ".csv" and data.is_file()


def _list_images(data: Path) -> list[MaskedImage]:
    images, seen = [], set()
    for line, row in _rows(data):
        image = _image(data, line, row)
        if image.name in seen:
            raise UsageError(f"{data}, line {line}: {image.name} is listed twice", "Leave out one of them.")
        seen.add(image.name)
        images.append(image)
    if not images:
        raise UsageError(f"{data} lists no image", f"Expected {_EXPECTED}.")
    return images


def _rows(data: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        with open_file(data) as file:
            text = file.read().decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8
        raise UsageError(f"can't read the manifest {data}: {error}", "Save it as CSV in UTF-8.") from error
    reader = csv.DictReader(text.splitlines())
    lacking = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
    if lacking:
        raise UsageError(
            f"the manifest {data} lacks the columns {', '.join(lacking)}", f"Expected {_EXPECTED}."
        )
    for row in reader:
        yield reader.line_num, {name: (row.get(name) or "").strip() for name in _COLUMNS}


def _image(data: Path, line: int, row: Mapping[str, str]) -> MaskedImage:
    stated = row["label"] or ("synthetic" if row["mask"] else "real")
    if not row["path"]:
        raise UsageError(f"{data}, line {line}: the path is empty", "Name the image.")
    if stated not in ("synthetic", "real"):
        raise UsageError(
            f"{data}, line {line}: labels are real or synthetic, not {stated}", "Correct the line."
        )
    if (stated == "synthetic") != bool(row["mask"]):
        raise UsageError(
            f"{data}, line {line}: a synthetic image needs a mask, and a real one has none",
            "Where all of an image is synthetic, its mask is white.",
        )
    mask = data.parent / row["mask"] if row["mask"] else None
    default = data.stem if mask else ""
    path, split = data.parent / row["path"], split_called(row["split"])
    if row["split"] and not split:
        raise UsageError(
            f"{data}, line {line}: parts are {', '.join(SPLITS)} or empty, not {row['split']}",
            "Correct the line.",
        )
    if not path.is_file():
        raise UsageError(f"{data}, line {line}: no such image: {path}", "Correct the path, or the line.")
    return MaskedImage(path, row["path"], mask, row["set"] or default, split, row["generator"])


LAYOUT = Layout("manifest", _EXPECTED, _recognises, _list_images)
