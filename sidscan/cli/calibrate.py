"""``sidscan calibrate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli import console, options
from sidscan.cli.help_sections import Command
from sidscan.config import ScanConfig
from sidscan.errors import ExitCode
from sidscan.util.terminal import safe_text

if TYPE_CHECKING:
    from sidscan.pipeline import Scan

_FAILURES_SHOWN = 8


@click.command(
    "calibrate",
    cls=Command,
    sections={"Calibration": ["fpr", "archives"], "Output": ["out", "journal", "as_json"]},
)
@options.inputs()
@options.fetching()
@options.model()
@click.option(
    "--fpr",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Share of camera pictures that may be flagged.",
)
@click.option(
    "--archive",
    "archives",
    type=click.IntRange(min=1, max=10**9),
    multiple=True,
    default=(10_000, 100_000),
    show_default="10000 and 100000",
    metavar="N",
    help="Pictures in an archive to foresee false flags for. Repeatable.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Save there. [default: in the models folder, where `scan --calibrated` looks]",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Durable record of the scan, from which the same command continues.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    fpr: float,
    archives: tuple[int, ...],
    out: Path | None,
    journal: Path | None,
    as_json: bool,
    **choices: Any,
) -> ExitCode:
    """Choose thresholds from known camera pictures.

    Scans pictures that cameras took, just as `sidscan scan` does, and saves the threshold that at most --fpr
    of such pictures reach, with all their scores, from which `sidscan scan --calibrated` computes p-values.
    What this assumes is printed with the figures. A thousand pictures or more are advisable.

    \b
    Examples:
      sidscan calibrate ./camera-pictures --model mini
      sidscan calibrate ./camera-pictures --model rine-4class --fpr 0.01 --archive 250000
      sidscan scan ./images --model mini --calibrated --out report.csv

    \b
    Exit codes:
      0  done                             5  nothing to scan
      2  wrong usage, too few pictures    6  device or precision not available
      3  done; some inputs unreadable     7  the calibration can't be written
      4  model unknown, missing, altered  130  interrupted
    """
    own_files = ((out,) if out else ()) + console.journal_files(journal)
    console.check_distinct(own_files, (*choices["inputs"], *choices["lists"]))
    config = ScanConfig(journal=journal, exclude=own_files, **choices)
    console.check_named(config)
    from sidscan.calibrate import text  # here: these load NumPy, Pillow and torch
    from sidscan.calibrate.run import calibrate

    made = calibrate(config, fpr, out, _watch)
    if as_json:
        click.echo(json.dumps([text.as_json(one, archives) for one in made], indent=2))
    else:
        texts = [text.as_text(one, archives) for one in made]
        click.echo(safe_text("\n\n".join([*texts, text.assumptions()])))
    return ExitCode.DONE_WITH_FAILURES if made[0].calibration.unreadable else ExitCode.DONE


def _watch(run: Scan) -> None:
    """The scan itself, announced and followed; what gave no score is said at its end."""
    console.announce(run, console.echo)
    console.consume(run, run.counts(), quiet=False)
    failed = [one for one in run.journal.results() if one.status.failed]
    for one in failed[:_FAILURES_SHOWN]:
        console.echo(f"no score: {one.name}: {one.message}")
    if len(failed) > _FAILURES_SHOWN:
        console.echo(f"... and {len(failed) - _FAILURES_SHOWN} more")
