"""A table of your own, CSV or Parquet, with one row per image.

path          the image; relative paths start at the manifest's folder; ARCHIVE!/MEMBER names a member
label         real or synthetic, or 0 or 1; may be left out where there is a mask column, which then says it
split         train, valid, test, or empty
set           what figures are computed for; by default the manifest's name. A real image may name several,
              separated by ";", and belongs to all sets if it names none
generator     what made the image, or its synthetic region
mask          where the image is synthetic, for localizers
class         a group of images within a set, which `--classes` chooses
synthetic_is  white or black: what marks the synthetic region in the mask; white where it is empty
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from sidscan.archives.entries import ArchiveError
from sidscan.archives.parquet import Table
from sidscan.errors import UsageError
from sidscan.util.files import open_file

from ..content import has_content
from ..rows import SPLITS, LabelledImage, Wanted, split_called
from . import Layout, register

COLUMNS = ("path", "label", "split", "set", "generator", "mask", "class", "synthetic_is")
_ALWAYS = 5  # columns that are written even if they are empty
_LABELS = {"real": False, "0": False, "synthetic": True, "1": True}
_POLARITIES = {"": False, "white": False, "black": True}
_MOST_FAULTS = 3  # that a message shows


class _Fault(Exception):
    """What is wrong with one row."""


@register
class Manifest(Layout):
    """Rows are checked before any work: labels, parts, files, and images that are listed twice."""

    name = "manifest"
    expected = (
        "a CSV file with the columns path and label (or mask instead of label), and perhaps "
        f"{', '.join(name for name in COLUMNS if name not in ('path', 'label'))}"
    )
    has_masks = True

    def recognises(self, data: Path) -> bool:
        """By its suffix; a Parquet file by its column ``path``."""
        if data.suffix.lower() == ".csv":
            return data.is_file()
        return is_parquet_manifest(data)

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:
        """Row by row.

        Raises:
            UsageError: rows can't be used; the message says which and why.
        """
        images: list[LabelledImage] = []
        faults: list[str] = []
        seen: dict[str, tuple[int, str]] = {}
        for line, row in _rows(data):
            try:
                image = _image(data, row, wanted.masks)
                _check_new(image, line, seen)
            except _Fault as fault:
                faults.append(f"line {line}: {fault}")
            else:
                images.append(image)
        if faults:
            raise _refusal(data, faults)
        if not images:
            raise UsageError(f"{data} lists no image", f"Expected {self.expected}.")
        yield from images


def is_parquet_manifest(data: Path) -> bool:
    """Whether a file is a Parquet file with a column ``path``, and not one that holds images itself."""
    if data.suffix.lower() != ".parquet" or not data.is_file():
        return False
    try:
        with open_file(data) as file:
            return "path" in Table(file).columns
    except (ArchiveError, OSError):
        return False


def manifest_text(images: Iterable[LabelledImage], folder: Path) -> str:
    """CSV with one row per image, paths relative to ``folder``; columns that nothing fills are left out."""
    rows = [_cells(image, folder) for image in images]
    columns = [
        name for index, name in enumerate(COLUMNS) if index < _ALWAYS or any(row[name] for row in rows)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cells(image: LabelledImage, folder: Path) -> dict[str, str]:
    return {
        "path": relative_path(image.path, folder),
        "label": image.label,
        "split": image.split,
        "set": image.set,
        "generator": image.generator,
        "mask": relative_path(image.mask, folder) if image.mask else "",
        "class": image.group,
        "synthetic_is": "black" if image.black_is_synthetic else "",
    }


def relative_path(path: Path, folder: Path) -> str:
    """As a manifest in that folder has it."""
    return Path(os.path.relpath(path, folder)).as_posix()


def _rows(data: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Lines of the file, with the cells of the columns that are read; of Parquet, row numbers from 1."""
    if data.suffix.lower() == ".parquet":
        yield from _parquet_rows(data)
        return
    try:
        with open_file(data) as file:
            text = file.read().decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8
        raise UsageError(f"can't read the manifest {data}: {error}", "Save it as CSV in UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        _check_columns(data, reader.fieldnames or ())
        for row in reader:
            yield reader.line_num, _known(row)
    except csv.Error as error:  # a cell of more than 128 KiB: a quotation mark that is never closed
        raise UsageError(
            f"can't read the manifest {data}, line {reader.line_num}: {error}", "Save it as CSV in UTF-8."
        ) from error


def _parquet_rows(data: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        with open_file(data) as file:
            table = Table(file)
            _check_columns(data, table.columns)
            names = [name for name in COLUMNS if name in table.columns]
            for number, cells in enumerate(table.rows(names), 1):
                yield number, _known(dict(zip(names, cells, strict=True)))
    except (OSError, ArchiveError) as error:
        raise UsageError(f"can't read the manifest {data}: {error}", "Save it as CSV in UTF-8.") from error


def _known(row: Mapping[str, str | None]) -> dict[str, str]:
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    cells["has mask column"] = "yes" if "mask" in row else ""
    return cells


def _check_columns(data: Path, columns: Iterable[str]) -> None:
    """Refuse a table without the columns that it needs; the message says what it has instead.

    Raises:
        UsageError: ``path`` is missing, or both ``label`` and ``mask`` are.
    """
    found = list(columns)
    if not found:
        raise UsageError(f"the manifest {data} is empty", f"Expected {Manifest.expected}.")
    lacking = [] if "path" in found else ["path"]
    if not {"label", "mask"} & set(found):
        lacking.append("label")
    if {"model_digest", "evidence"} <= set(found):
        raise UsageError(f"{data} is a report of a scan, not a manifest", f"Expected {Manifest.expected}.")
    if lacking:
        raise UsageError(
            f"the manifest {data} has no column called {' or '.join(lacking)}; it has {', '.join(found)}",
            f"{_guess(lacking, found)}Expected {Manifest.expected}.",
        )


def _guess(lacking: Iterable[str], found: Sequence[str]) -> str:
    """What may be wrong with the names of columns, as sentences before others; empty without a guess."""
    if len(found) == 1 and (other := next((mark for mark in ";\t|" if mark in found[0]), "")):
        name = "tabs" if other == "\t" else repr(other)
        return f"Its cells are separated by {name}: save it with commas. "
    unknown = {name.strip().casefold(): name for name in found if name not in COLUMNS}
    guesses = [
        f"Did you mean {name} by {unknown[near[0]]}? "
        for name in lacking
        if (near := get_close_matches(name, unknown, n=1))
    ]
    return "".join(guesses)


def _image(data: Path, row: Mapping[str, str], masks: bool) -> LabelledImage:
    if not row["path"]:
        raise _Fault("the path is empty: name the image")
    synthetic = _label(row, masks)
    if row["split"] and not split_called(row["split"]):
        raise _Fault(f"parts are {', '.join(SPLITS)} or empty, not {row['split']}")
    if row["synthetic_is"] not in _POLARITIES:
        raise _Fault(f"synthetic_is is white, black or empty, not {row['synthetic_is']}")
    image = LabelledImage(
        data.parent / row["path"],
        row["path"],
        synthetic,
        row["set"] or (data.stem if synthetic else ""),
        split_called(row["split"]),
        row["generator"],
        row["class"],
        data.parent / row["mask"] if row["mask"] else None,
        _POLARITIES[row["synthetic_is"]],
    )
    if synthetic and len(image.sets) > 1:
        raise _Fault(f"only real images may belong to several sets, as {row['set']}")
    if not has_content(image.path):
        raise _Fault(f"no such image: {image.path}")
    return image


def _label(row: Mapping[str, str], masks: bool) -> bool:
    stated = row["label"].casefold()
    if not stated and not row["has mask column"]:
        raise _Fault("the label is empty: write real or synthetic")
    if stated and stated not in _LABELS:
        raise _Fault(f"labels are real or synthetic, or 0 or 1, not {row['label']}")
    synthetic = _LABELS[stated] if stated else bool(row["mask"])
    if (row["mask"] and not synthetic) or (masks and synthetic and not row["mask"]):
        raise _Fault("a synthetic image needs a mask, and a real one has none")
    return synthetic


def _check_new(image: LabelledImage, line: int, seen: dict[str, tuple[int, str]]) -> None:
    """Note an image, or say that it was there before."""
    name = posixpath.normpath(image.path.as_posix())
    first, split = seen.setdefault(name, (line, image.split))
    if first != line:
        both = f", in {split or 'no part'} and in {image.split or 'no part'}" if split != image.split else ""
        raise _Fault(f"{image.name} is listed twice, first in line {first}{both}")


def _refusal(data: Path, faults: list[str]) -> UsageError:
    shown = "; ".join(faults[:_MOST_FAULTS])
    if len(faults) == 1:
        return UsageError(f"{data}, {shown}", "Correct the line, or leave it out.")
    more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
    return UsageError(
        f"{data}: {len(faults)} lines can't be used: {shown}{more}", "Correct these lines, or leave them out."
    )
