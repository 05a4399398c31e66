"""Options that commands on labelled windows share."""

from __future__ import annotations

from pathlib import Path

import click

corpora_option = click.option(
    "--corpus",
    "corpora",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    multiple=True,
)

cache_option = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps what was computed of the windows, for the next command on the same ones.",
)

reserved_option = click.option(
    "--reserved",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="List of repositories that must not be used: a sha256 of the lower-case owner/name a line.",
)

whole_option = click.option(
    "--whole",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of whole images (sidscan.training.windows.whole_images).",
)

workers_option = click.option("--workers", default=2, show_default=True, help="Processes that read images.")
