"""``sidscan export-onnx``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from sidscan.cli import checks, console, localizing, options
from sidscan.cli.help_sections import Command
from sidscan.cli.param_types import OutputPath
from sidscan.errors import ExitCode, UsageError
from sidscan.libraries import require


@click.command("export-onnx", cls=Command)
@options.setting(
    "models",
    help="Detector: name, checkpoint, or folder of checkpoints. Repeatable: all go into one file.",
)
@localizing.encoders()
@options.sectioned_option(
    "--precision",
    section="Models",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="With fp16, a CLIP encoder computes in fp16; the bundled encoder only stores its weights in fp16.",
)
@options.sectioned_option(
    "--out",
    section="Output",
    type=OutputPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    show_default="in the models folder, where `scan --runtime onnx` looks",
    help="File to write.",
)
@options.sectioned_option(
    "--fresh", section="Output", is_flag=True, help="Replace FILE if sidscan exported it."
)
@options.sectioned_option("--overwrite", section="Output", is_flag=True, help="Replace FILE, whatever it is.")
@options.quiet()
def command(
    models: tuple[str, ...],
    encoders: tuple[Path, ...],
    precision: Literal["fp32", "fp16"],
    out: Path | None,
    fresh: bool,
    overwrite: bool,
    quiet: bool,
) -> ExitCode:
    """Write detectors, or a localizer, as one ONNX file.

    The file holds encoder and heads, takes uint8 RGB crops (N, 224, 224, 3) as they are, and has one output
    of logits per head, named after the detector, and one for each probe behind a caution, e.g.
    `rine-b16:drawn`. The file is kept only if its logits equal PyTorch's within a stated bound, on seeded
    crops at several batch sizes.

    A localizer goes into a file of its own, which has one output: the map, a probability for each pixel. It
    takes tiles as the encoder reads them; DeCLIP's have to be resized from 256 to 224 pixels before.

    \b
    Examples:
      sidscan export-onnx -o mini.onnx
      sidscan export-onnx -m rine-4class -m rine-ldm --precision fp16 -o rine.onnx
      sidscan scan ./images -m rine.onnx -o report.csv
      sidscan export-onnx -m declip-ldm -o declip-ldm.onnx

    \b
    Exit codes:
      0  done                             4  model unknown, missing, altered, or
      2  wrong usage, or FILE exists         the file's logits are not PyTorch's
      6  a library is missing             7  FILE can't be written
    """
    from sidscan.exporters import require_packages
    from sidscan.models.localizers import is_localizer
    from sidscan.models.refs import check_reads_crops, choose_models
    from sidscan.models.store import Store

    checks.check_output(out, *models, *encoders)
    require_packages()
    echo = console.reporter(quiet)
    if any(is_localizer(name, Store()) for name in models):
        require("exporting", "torch")
        from sidscan.exporters.localizers import export_localizer  # here: it loads torch

        path = export_localizer(models, out, precision, encoders, fresh, overwrite, echo)
        echo(f"graph: {path}, {path.stat().st_size:,} bytes")
        return ExitCode.DONE
    if len(encoders) > 1:
        raise UsageError("detectors read one encoder, and several --encoder were named", "Name one.")
    encoder = next(iter(encoders), None)
    checks.check_models(models, encoder)
    check_reads_crops(choose_models(models).models)
    require("exporting", "torch")
    from sidscan.exporters.onnx import export  # here: it loads torch

    path = export(
        models,
        out=out,
        precision=precision,
        encoder=encoder,
        fresh=fresh,
        overwrite=overwrite,
        echo=echo,
    )
    echo(f"graph: {path}, {path.stat().st_size:,} bytes")
    return ExitCode.DONE
