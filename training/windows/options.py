"""Options of commands that read corpora."""

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
    help="Folder that holds statistics for the next command on the same windows (100 to 200 kB a window).",
)
