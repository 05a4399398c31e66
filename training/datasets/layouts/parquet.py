"""Parquet files whose rows hold the bytes of images, as model hubs serve them: OpenSDI, So-Fake, SID-Set.

image       bytes, or a struct with a field bytes
label       0 or real; 1, synthetic, fake, full_synthetic; 2 or tampered
mask        bytes, where only a part is synthetic; may be missing
generator   may be missing; `model` is read, too
key         may be missing; part of nothing

Files called train-..., validation-... and test-... say the part. Other names say the set: OpenSDI's sd15-...
Localizers get no fully synthetic images, for nobody drew where these are synthetic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sidscan.archives.entries import ArchiveError
from sidscan.archives.parquet import Table
from sidscan.errors import UsageError
from sidscan.util.files import open_file
from sidscan.util.member_names import member_name

from ..folders import entries, split_of_folder
from ..rows import LabelledImage, Wanted
from . import Layout, register
from .manifest import is_parquet_manifest

_SHARD = re.compile(r"-\d+-of-\d+$")
_REAL = ("0", "real", "false")
_SYNTHETIC = ("1", "2", "synthetic", "fake", "full_synthetic", "fully_synthetic", "tampered", "true")
_IMAGE, _MASK, _LABEL, _GENERATOR = ("image", "img", "bytes"), ("mask",), ("label",), ("generator", "model")


@register
class ParquetImages(Layout):
    """Images and masks are cells: ``FILE.parquet!/image/ROW``."""

    name = "parquet"
    expected = "*.parquet with the columns image (bytes), label, and perhaps mask and generator"
    source = "Wang et al., OpenSDI, CVPR 2025; Huang et al., So-Fake, arXiv 2505.18660"
    has_masks = True

    def recognises(self, data: Path) -> bool:
        """Whether there are such files."""
        return bool(_files(data))

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:
        """File by file, row by row."""
        files = _files(data)
        if not files:
            raise UsageError(
                f"{data} holds no Parquet file with images",
                f"Expected {self.expected}; found {entries(data)}.",
            )
        root = data if data.is_dir() else data.parent
        for path in files:
            try:
                with open_file(path) as file:
                    yield from _rows(root, path, Table(file), wanted.masks)
            except (OSError, ArchiveError) as error:
                raise UsageError(
                    f"can't read {path}: {error}",
                    "Download it again; pip install 'sidscan[parquet]' if asked.",
                ) from error


def _files(data: Path) -> list[Path]:
    if data.is_dir():
        return sorted(path for path in data.rglob("*.parquet") if not is_parquet_manifest(path))
    is_one = data.suffix.lower() == ".parquet" and data.is_file() and not is_parquet_manifest(data)
    return [data] if is_one else []


def _rows(root: Path, path: Path, table: Table, masks: bool) -> Iterator[LabelledImage]:
    image, label = _column(table, path, _IMAGE), _column(table, path, _LABEL)
    mask, generator = _find(table, _MASK), _find(table, _GENERATOR)
    stem = _SHARD.sub("", path.stem)
    split = split_of_folder(stem)
    name_of_set = root.resolve().name if split else stem
    has_mask = _filled(table, mask) if mask else frozenset()
    names = [label, *([generator] if generator else [])]
    classes = table.class_names(label)  # 0 may be either
    for row, cells in enumerate(table.rows(names)):
        synthetic = _is_synthetic(_named(cells[0], classes), path, row)
        if masks and synthetic and row not in has_mask:
            continue
        member = Path(member_name(str(path), f"{image}/{row}"))
        made_by = cells[1] if generator and synthetic else ""
        yield LabelledImage(
            member,
            member.relative_to(root).as_posix(),
            synthetic,
            name_of_set,
            split,
            made_by or ("" if split or not synthetic else stem),
            mask=Path(member_name(str(path), f"{mask}/{row}")) if synthetic and row in has_mask else None,
        )


def _filled(table: Table, column: str) -> frozenset[int]:
    """Rows with a mask."""
    cells = table.cells(table.columns.index(column))
    return frozenset(row for row, cell in cells if cell is not None and len(cell))


def _find(table: Table, names: tuple[str, ...]) -> str:
    return next((name for name in table.columns if name.casefold() in names), "")


def _column(table: Table, path: Path, names: tuple[str, ...]) -> str:
    name = _find(table, names)
    if not name:
        raise UsageError(f"{path} has no column {names[0]}", f"{table.shown_columns().capitalize()}.")
    return name


def _named(label: str, classes: tuple[str, ...]) -> str:
    """The class that a number stands for, where the file says so."""
    return classes[int(label)] if label.isdecimal() and int(label) < len(classes) else label


def _is_synthetic(label: str, path: Path, row: int) -> bool:
    stated = label.strip().casefold().replace(" ", "_")
    if stated in _SYNTHETIC:
        return True
    if stated not in _REAL:
        raise UsageError(
            f"{path}, row {row}: labels are 0, 1, 2, real, synthetic, fake or tampered, not {label}",
            "Write a manifest of this data set instead.",
        )
    return False
