"""Options of ``sidscan dataset`` that state what only a person knows, and what is written of them."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from sidscan.cli import checks, console, options
from sidscan.cli.param_types import OutputPath
from sidscan.errors import OutputError, UsageError
from sidscan.util.progress import progress

if TYPE_CHECKING:
    from sidscan.training.datasets.inventory import Totals
    from sidscan.training.datasets.rows import LabelledImage
    from sidscan.training.datasets.statements import Statements
    from sidscan.util.bibtex import Citation

_FILE = OutputPath(dir_okay=False, path_type=Path)
_SECTION = "Metadata"


class StatementOptions(TypedDict):
    """What is written, and what a person says."""

    croissant: Path | None
    datasheet: Path | None
    name: str
    description: str
    licence: str
    creator: str
    url: str
    published: str


_Check = Callable[[click.Context, click.Parameter, str], str]


def _text(flag: str, help: str, check: _Check | None = None) -> options.Decorator:  # noqa: A002
    return options.sectioned_option(
        flag, section=_SECTION, default="", show_default=False, callback=check, help=help
    )


def _web_address(_: click.Context, __: click.Parameter, value: str) -> str:
    if value and not re.match(r"https?://[^/\s]", value, re.IGNORECASE):
        raise click.BadParameter(f"{value} is not the address of a page. Write https://....")
    return value


def _date(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        if value and (len(value) != len("2026-11-29") or str(date.fromisoformat(value)) != value):
            raise ValueError
    except ValueError:
        raise click.BadParameter(f"{value} is not a date. Write it like 2026-11-29.") from None
    return value


statement_options = options.stack(
    options.sectioned_option(
        "--croissant",
        section=_SECTION,
        type=_FILE,
        metavar="FILE",
        help="Write Croissant 1.0 metadata (JSON-LD), and a table of all files with their SHA-256 beside it.",
    ),
    options.sectioned_option(
        "--datasheet",
        section=_SECTION,
        type=_FILE,
        metavar="FILE",
        help="Write a datasheet (Markdown): counts, sizes and formats, and questions for you to answer.",
    ),
    options.sectioned_option(
        "--name", section=_SECTION, metavar="TEXT", help="Name; by default that of DATA."
    ),
    _text("--description", "What the data set is, and what for."),
    _text("--licence", "Its licence: an address, or a name in SPDX's list. sidscan never guesses one."),
    _text("--creator", "The organisation or group that made it."),
    _text("--url", "Where it is published.", _web_address),
    _text("--published", "When it was published, e.g. 2026-11-29.", _date),
)


def check_statements(choices: StatementOptions, others: Sequence[Path], overwrite: bool) -> None:
    """Refuse outputs that exist or are other files of the command, and statements that nothing would hold.

    Args:
        others: the data set, and the manifest that is written.

    Raises:
        OutputError: a file exists.
        UsageError: something is stated, and neither --croissant nor --datasheet is asked for; or one file is
            two things.
    """
    outputs = [path for path in (choices["croissant"], choices["datasheet"]) if path is not None]
    if not outputs:
        texts = ("name", "description", "licence", "creator", "url", "published")
        if stated := [name for name in texts if choices[name]]:  # type: ignore[literal-required]
            raise UsageError(
                f"--{stated[0]} has no effect without --croissant or --datasheet", "Leave it out."
            )
    if choices["croissant"] is not None:
        outputs.append(table_of(choices["croissant"]))
    checks.check_distinct(tuple(outputs), tuple(others))
    for path in outputs:
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists", "Choose another file, or replace it with --overwrite.")


def table_of(croissant: Path) -> Path:
    """The table of images that belongs to metadata."""
    return croissant.with_name(f"{croissant.stem}.images.csv")


def write_statements(
    images: Sequence[LabelledImage],
    choices: StatementOptions,
    default_name: str,
    papers: Sequence[Citation],
) -> None:
    """Read every file, and write what is asked for.

    Raises:
        UsageError: an image can't be read.
        OutputError: a file can't be written.
    """
    from sidscan.training.common.files import write_text
    from sidscan.training.datasets.datasheet import datasheet
    from sidscan.training.datasets.inventory import Totals
    from sidscan.training.datasets.statements import Statements

    stated = Statements(
        name=choices["name"] or default_name,
        description=choices["description"],
        licence=choices["licence"],
        creator=choices["creator"],
        url=choices["url"],
        published=choices["published"],
    )
    metadata, sheet = choices["croissant"], choices["datasheet"]
    totals = Totals()
    if metadata is None:
        for _ in _shown(images, totals, Path()):
            pass
    else:
        _write_croissant(images, totals, metadata, stated, papers)
    if sheet is not None:
        write_text(sheet, datasheet(stated, totals, papers))
        console.echo(f"datasheet: {sheet}")


def _write_croissant(
    images: Sequence[LabelledImage],
    totals: Totals,
    path: Path,
    stated: Statements,
    papers: Sequence[Citation],
) -> None:
    from sidscan.training.common.files import write_text, writing_result
    from sidscan.training.datasets.croissant import ImageTable, croissant
    from sidscan.training.datasets.inventory import COLUMNS
    from sidscan.util.files import content_sha256

    table = table_of(path)
    with (
        writing_result(table) as partial,
        partial.open("w", encoding="utf-8", newline="", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_shown(images, totals, path.parent))
    described = ImageTable(table.name, table.stat().st_size, content_sha256(table) or "")
    write_text(path, croissant(stated, totals, described, papers))
    console.echo(f"croissant: {path}, {table}")
    if missing := stated.missing():
        console.echo(f"Croissant asks for more, which only you can say: add {', '.join(missing)}")


def _shown(images: Sequence[LabelledImage], totals: Totals, folder: Path) -> Iterator[tuple[object, ...]]:
    """Rows of the table, with a progress bar on a terminal."""
    from sidscan.training.datasets.inventory import inventory_rows

    with progress(len(images), "image") as bar:
        for row in inventory_rows(images, totals, folder):
            yield row
            bar.update(1)
