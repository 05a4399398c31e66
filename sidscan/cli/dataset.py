"""``sidscan dataset``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidscan.cli import checks, console, data_options, options
from sidscan.cli.dataset_statements import (
    StatementOptions,
    check_statements,
    statement_options,
    write_statements,
)
from sidscan.cli.help_sections import Command
from sidscan.cli.param_types import OutputPath
from sidscan.errors import ExitCode, OutputError, UsageError
from sidscan.util.terminal import safe_text

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from sidscan.training.datasets.rows import LabelledImage

_MOST_SHOWN = 5  # pairs of equal images


@click.command("dataset", cls=Command)
@click.argument("data", required=False, type=click.Path(path_type=Path))
@data_options.labelled_data()
@options.sectioned_option(
    "--out",
    section="Output",
    type=OutputPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Manifest to write (CSV): one row per image, with paths relative to it.",
)
@options.sectioned_option(
    "--overwrite", section="Output", is_flag=True, help="Replace files that are there, whatever they hold."
)
@statement_options
def command(
    data: Path | None,
    manifest: Path | None,
    layout: str | None,
    sets: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
    **choices: Unpack[StatementOptions],
) -> ExitCode:
    """Count the images of a labelled data set, and write them as a manifest.

    DATA is a folder in one of the layouts, or a manifest. sidscan prints how many images there are of each
    part, set, generator and label, and names images that are in several parts. `train`, `study`, `evaluate`
    and `calibrate` read the same data sets, with the same options. --croissant and --datasheet describe the
    data set for others; they read every file.

    \b
    Examples:
      sidscan dataset ./GenImage --layout genimage
      sidscan dataset ./test --out ./test/manifest.csv
      sidscan dataset --manifest images.csv
      sidscan dataset images.csv --croissant images.json --licence CC-BY-4.0

    \b
    Exit codes:
      0  done                           3  done; images are in several parts
      2  wrong usage, layout or labels  7  the manifest can't be written
    """
    named = data_options.data_set(data, manifest, layout, sets)
    checks.check_output(out, named.data)
    if out is not None and out.exists() and not overwrite:
        raise OutputError(f"{out} exists", "Choose another --out, or replace it with --overwrite.")
    check_statements(choices, [named.data, *([out] if out else [])], overwrite)
    from sidscan.training.datasets.reading import choose_layout, read_data_set
    from sidscan.training.datasets.rows import Wanted

    chosen = choose_layout(named.data, named.layout)
    images = read_data_set(named.data, chosen.name, Wanted(sets=named.sets))
    for line in data_options.count_lines(images):
        click.echo(safe_text(line))
    real = sum(image.is_real for image in images)
    counts = f"{real:,} real, {len(images) - real:,} synthetic"
    click.echo(f"{len(images):,} images: {counts}; layout {chosen.name}")
    leaks = _leaks(images)
    if out is not None:
        _write(images, out)
        console.echo(f"manifest: {out}")
    if choices["croissant"] or choices["datasheet"]:
        write_statements(images, choices, named.data.resolve().stem, chosen.papers)
    return ExitCode.DONE_WITH_FAILURES if leaks else ExitCode.DONE


def _leaks(images: Sequence[LabelledImage]) -> int:
    """Name images that are in several parts; returns how many pairs there are."""
    from sidscan.training.datasets.leaks import find_leaks

    try:
        leaks = list(find_leaks(images))
    except OSError as error:
        raise UsageError(f"an image can't be read: {error}", "Repair it, or leave it out.") from error
    for first, second in leaks[:_MOST_SHOWN]:
        console.echo(
            f"warning: {first.name} ({first.split}) and {second.name} ({second.split}) have equal bytes"
        )
    if len(leaks) > _MOST_SHOWN:
        console.echo(f"... and {len(leaks) - _MOST_SHOWN} more")
    return len(leaks)


def _write(images: Sequence[LabelledImage], out: Path) -> None:
    from sidscan.training.common.files import write_text
    from sidscan.training.datasets.layouts.manifest import manifest_text

    write_text(out, manifest_text(images, out.parent))
