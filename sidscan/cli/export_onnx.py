"""``sidscan export-onnx``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sidscan.cli import console, options
from sidscan.errors import ExitCode


@click.command("export-onnx")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME|FILE",
    help="Detector, or checkpoint of `sidscan train`, or a folder of such; repeatable: all go into one file. "
    "[default: as for a scan]",
)
@options.encoder()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File to write. [default: in the models folder, where `scan --runtime onnx` looks]",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="fp16: a CLIP encoder computes in it; of the bundled encoder only the weights are stored in it.",
)
@click.option("--fresh", is_flag=True, help="Replace FILE.")
@click.option("--quiet", "-q", is_flag=True, help="On standard error only errors.")
def command(models: tuple[str, ...], quiet: bool, **choices: Any) -> ExitCode:
    """Write detectors as one ONNX file.

    The file holds encoder and heads, takes uint8 RGB crops (N, 224, 224, 3) as they are, and has one output
    of logits per head, named after the detector. It is kept only if its logits are PyTorch's within a stated
    bound, on seeded crops at several batch sizes.

    \b
    Examples:
      sidscan export-onnx --out mini.onnx
      sidscan export-onnx --model rine-4class --model rine-ldm --precision fp16 --out rine.onnx
      sidscan scan ./images --model rine.onnx --out report.csv
    """
    from sidscan.exporters.onnx import export  # here: it loads torch

    say = console.reporter(quiet)
    path = export(models, echo=say, **choices)
    say(f"graph: {path}, {path.stat().st_size:,} bytes")
    return ExitCode.DONE
