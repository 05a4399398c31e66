"""``sidscan calibrate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli import checks, console, data_options, options
from sidscan.cli.help_sections import Command
from sidscan.cli.param_types import Number, OutputPath, WholeNumber
from sidscan.config import ScanConfig
from sidscan.errors import ExitCode, UsageError
from sidscan.util.terminal import safe_text

if TYPE_CHECKING:
    from sidscan.pipeline import Scan
    from sidscan.training.datasets.rows import Split

_MAX_FAILURES_SHOWN = 8


@click.command(
    "calibrate",
    cls=Command,
)
@options.inputs()
@data_options.labelled_data(default_layout="none: every image is a camera image", folder="FOLDER")
@data_options.part("valid", "Part of the data set whose real images are used.")
@options.fetching()
@options.model()
@options.sectioned_option(
    "--fpr",
    section="Calibration",
    type=Number(min=0, max=1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="False-positive rate: the share of camera images that a scan may flag.",
)
@options.sectioned_option(
    "--archive",
    "archive_sizes",
    section="Calibration",
    type=WholeNumber(min=1, max=10**9),
    multiple=True,
    default=(10_000, 100_000),
    show_default="10000 and 100000",
    metavar="N",
    help="Print how many false flags to expect in an archive of N images. Repeatable.",
)
@options.sectioned_option(
    "--out",
    section="Output",
    type=OutputPath(path_type=Path),
    metavar="FILE",
    help="File for the calibration. [default: in the models folder, where `scan --calibrated` looks]",
)
@options.sectioned_option(
    "--overwrite", section="Output", is_flag=True, help="Replace --out, whatever it holds."
)
@options.setting("journal", show_default=False)
@options.setting("fresh")
@options.sectioned_option(
    "--json", "as_json", section="Output", is_flag=True, help="Print the figures as JSON."
)
def command(
    fpr: float,
    archive_sizes: tuple[int, ...],
    out: Path | None,
    overwrite: bool,
    journal: Path | None,
    as_json: bool,
    manifest: Path | None,
    layout: str | None,
    sets: tuple[str, ...],
    part: Split,
    **choices: Any,
) -> ExitCode:
    """Choose thresholds from known camera images.

    Name images that came from cameras, at least a thousand if you can. sidscan scans them as `sidscan scan`
    does, and chooses the threshold that at most --fpr of such images reach. It saves the threshold together
    with all scores; `sidscan scan --calibrated` uses both, and computes a p-value for each image. The output
    says what the figures assume.

    Of a labelled data set, the real images are used: --manifest names a list, --layout says how FOLDER is
    laid out. Its part valid counts, or images without a part, so that no image of a test chooses a threshold.

    \b
    Examples:
      sidscan calibrate ./camera-images --model mini
      sidscan calibrate ./camera-images --model rine-4class --fpr 0.01 --archive 250000
      sidscan calibrate --manifest images.csv --model mini
      sidscan scan ./images --model mini --calibrated --out report.csv

    \b
    Exit codes:
      0  done                             5  nothing to scan
      2  wrong usage, too few images      6  device or precision not available
      3  done; some inputs unreadable     7  the calibration can't be written
      4  model unknown, missing, altered  130  interrupted
    """
    written = ((out,) if out else ()) + checks.journal_files(journal)
    checks.check_distinct(written, (*choices["inputs"], *choices["lists"], *([manifest] if manifest else [])))
    data_set = data_options.DataSetChoice(manifest, layout, sets, part)
    if data_set.is_made():
        choices["inputs"] = _real_images(data_set, choices)
        checks.check_distinct(written, choices["inputs"])
    checks.check_crops(choices["effort"], choices["crops"])
    config = ScanConfig(journal=journal, outputs=written, **choices)
    checks.check_named(config)
    with console.starting(quiet=False):
        from sidscan.calibrate.run import calibrate_models  # here: these load NumPy, Pillow and torch
        from sidscan.calibrate.text import assumptions_text, calibration_dict, calibration_text

    saved = calibrate_models(config, fpr, out, _run_scan, overwrite, console.open_run)
    if as_json:
        click.echo(
            json.dumps([calibration_dict(calibration, archive_sizes) for calibration in saved], indent=2)
        )
    else:
        texts = [calibration_text(calibration, archive_sizes) for calibration in saved]
        click.echo(safe_text("\n\n".join([*texts, assumptions_text()])))
    return ExitCode.DONE_WITH_FAILURES if saved[0].calibration.unreadable else ExitCode.DONE


def _real_images(data_set: data_options.DataSetChoice, choices: dict[str, Any]) -> tuple[str, ...]:
    """Names of the real images of a part of the data set that the command line names."""
    data, images = data_set.images(choices["inputs"], choices["lists"])
    real = [image for image in images if image.is_real]
    if not real:
        raise UsageError(
            f"{data} has no real image for the part {data_set.part}", "Name another with --part."
        )
    names = data_options.names_of(real)
    console.echo(f"data: {console.plural(len(names), 'real image')} of {data}")
    return names


def _run_scan(scan: Scan) -> None:
    """Announce the scan, run it with a progress bar, and name the inputs that have no score."""
    console.announce(scan, console.echo)
    try:
        console.consume(scan, quiet=False)
    except KeyboardInterrupt:
        console.record_interruption(scan, missing="no --journal FILE")
        raise
    failed = [result for result in scan.journal.results() if result.status.failed]
    for result in failed[:_MAX_FAILURES_SHOWN]:
        console.echo(f"no score: {result.name}: {result.message}")
    if len(failed) > _MAX_FAILURES_SHOWN:
        console.echo(f"... and {len(failed) - _MAX_FAILURES_SHOWN} more")
