"""Options that name a labelled data set: a manifest, or a folder and its layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from sidscan.cli.options import Decorator, sectioned_option, stack
from sidscan.errors import UsageError

if TYPE_CHECKING:
    from sidscan.training.datasets.rows import LabelledImage, Split

# sidscan.training.datasets.layouts define these names; --help must not load them, and a test compares.
LAYOUTS = (
    *("aigcdetectbenchmark", "autosplice", "chameleon", "cnndetection", "dolos", "genimage", "ldm"),
    *("manifest", "parquet", "synthbuster", "white-masks", "wildfake"),
)
MASKED_LAYOUTS = ("autosplice", "dolos", "manifest", "parquet", "white-masks")
AUTO = "auto"
PARTS = ("train", "valid", "test")


class DataSet(NamedTuple):
    """A data set that the command line names."""

    data: Path
    layout: str
    sets: tuple[str, ...]


def labelled_data(
    default_layout: str = AUTO, layouts: Iterable[str] = LAYOUTS, folder: str = "DATA"
) -> Decorator:
    """``--manifest``, ``--layout`` and ``--sets``; `data_set` and `DataSetChoice` take them.

    Args:
        default_layout: what help shows as the default.
        folder: the metavar of the argument that names the data set.
    """
    return stack(
        manifest(f"CSV or Parquet file that lists images and labels, instead of {folder}."),
        sectioned_option(
            "--layout",
            section="Input",
            metavar="NAME",
            show_default=default_layout,
            help=f"How {folder} is laid out: {', '.join(layouts)}, or one of another package.",
        ),
        sets(folder),
    )


def manifest(what: str) -> Decorator:
    """``--manifest``."""
    return sectioned_option(
        "--manifest",
        section="Input",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help=what,
    )


def sets(of: str) -> Decorator:
    """``--sets``."""
    return sectioned_option(
        "--sets",
        section="Input",
        multiple=True,
        metavar="A,B",
        help=f"Use only these sets of {of}. Repeatable.",
    )


def part(default: str, what: str = "Part of the data set.") -> Decorator:
    """``--part``."""
    return sectioned_option(
        "--part", section="Input", type=click.Choice(PARTS), default=default, show_default=True, help=what
    )


def comma_separated(values: tuple[str, ...]) -> tuple[str, ...]:
    """``("a,b", "c")`` -> ``("a", "b", "c")``, each once."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def data_set(
    data: Path | None,
    manifest: Path | None,
    layout: str | None,
    sets: tuple[str, ...],
    default_layout: str = AUTO,
) -> DataSet:
    """What the options name.

    Args:
        default_layout: of a folder, where ``--layout`` names none.

    Raises:
        UsageError: nothing, or two things are named, or there is no such layout.
    """
    if manifest is not None and (data is not None or layout not in (None, "manifest")):
        other = "--layout" if data is None else str(data)
        raise UsageError(f"--manifest can't be combined with {other}", "Leave one of them out.")
    if manifest is None and data is None:
        raise UsageError("no data set is named", "Name its folder, or a file with --manifest.")
    if layout is not None and layout != AUTO:
        from sidscan.training.datasets.layouts import find_layout

        find_layout(layout)
    names = comma_separated(sets)
    if manifest is not None:
        return DataSet(manifest, "manifest", names)
    assert data is not None
    return DataSet(data, layout or (AUTO if data.is_file() else default_layout), names)


class DataSetChoice(NamedTuple):
    """What `labelled_data` and `part` add to a command that reads images without labels, too."""

    manifest: Path | None
    layout: str | None
    sets: tuple[str, ...]
    part: Split

    def is_made(self) -> bool:
        """Whether a data set is named.

        Raises:
            UsageError: none is, and an option chooses among its images.
        """
        if self.manifest is not None or self.layout is not None:
            return True
        for name in ("sets", "part"):
            if click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise UsageError(
                    f"--{name} has no effect without --manifest or --layout",
                    "Name the data set, or leave the option out.",
                )
        return False

    def images(self, inputs: tuple[str, ...], lists: tuple[str, ...]) -> tuple[Path, list[LabelledImage]]:
        """The data set, and the images of its part.

        Args:
            inputs, lists: what else the command line names; the folder of a layout, and nothing else.

        Raises:
            UsageError: something else is named, or there is no such data set, layout, set or part.
        """
        if len(inputs) > 1 or lists:
            raise UsageError(
                "a data set is named beside other inputs", "Name one data set, and nothing else."
            )
        folder = Path(inputs[0]) if inputs else None
        named = data_set(folder, self.manifest, self.layout, self.sets)
        from sidscan.training.datasets.reading import read_data_set
        from sidscan.training.datasets.rows import Wanted, require_part

        images = read_data_set(named.data, named.layout, Wanted(sets=named.sets))
        return named.data, require_part(images, self.part, named.data)


def names_of(images: Iterable[LabelledImage]) -> tuple[str, ...]:
    """As a scan names them, each once."""
    return tuple(dict.fromkeys(str(image.path) for image in images))


def count_lines(images: Iterable[LabelledImage]) -> list[str]:
    """A table of counts by part, set, generator and label, for a terminal."""
    counts = Counter((image.split, image.set, image.generator, image.label) for image in images)
    rows = [("part", "set", "generator", "label", "images")]
    rows += [(*key, f"{counts[key]:,}") for key in sorted(counts, key=_order)]
    shown = [[cell or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return ["  ".join(map(str.ljust, row[:-1], widths)) + "  " + row[-1].rjust(widths[-1]) for row in shown]


def _order(key: tuple[str, ...]) -> tuple[object, ...]:
    return (PARTS.index(key[0]) if key[0] in PARTS else len(PARTS), *key[1:])
