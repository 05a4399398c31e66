"""``sidscan evaluate localization``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli import console, data_options, localizing, options
from sidscan.cli import training_options as training
from sidscan.cli.help_sections import Command
from sidscan.cli.param_types import OutputPath
from sidscan.errors import ExitCode, UsageError
from sidscan.libraries import require
from sidscan.util.progress import progress
from sidscan.util.terminal import Echo

if TYPE_CHECKING:
    from sidscan.runtimes.pytorch_localizer import PyTorchLocalizer
    from sidscan.training.datasets.rows import LabelledImage
    from sidscan.training.localization.evaluation.rows import MapRow
    from sidscan.training.localization.evaluation.run import MapEvaluation

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("localization", cls=Command)
@click.argument("data", required=False, type=click.Path(path_type=Path))
@options.sectioned_option(
    "--model",
    "models",
    section="Models",
    multiple=True,
    required=True,
    metavar="MODEL",
    help="Localizer: name, or checkpoint of `sidscan train-localizer`. Repeatable.",
)
@localizing.encoders()
@localizing.reading()
@options.setting("device", **options.DEVICES_OF_TORCH)
@options.setting("precision")
@options.setting("workers")
@training.masked_data()
@data_options.part("test")
@options.sectioned_option(
    "--perturb",
    "perturbations",
    section="Input",
    multiple=True,
    metavar="KIND-VALUE",
    help="Measure again on changed images: jpeg-QUALITY, resize-FACTOR, blur-SIGMA, noise-SIGMA or "
    "shared-SIDE-QUALITY-UPLOADS. Repeatable.",
)
@options.sectioned_option(
    "--out",
    section="Output",
    type=OutputPath(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the results. It is created if needed.",
)
@options.sectioned_option(
    "--fresh", section="Output", is_flag=True, help="Delete the scores in --out and start over."
)
@options.sectioned_option(
    "--overwrite",
    section="Output",
    is_flag=True,
    help="Replace tables in --out even if somebody edited them.",
)
@options.quiet()
def command(
    data: Path | None,
    models: tuple[str, ...],
    encoders: tuple[Path, ...],
    out: Path,
    fresh: bool,
    overwrite: bool,
    quiet: bool,
    **choices: Any,
) -> ExitCode:
    """Measure localizers on images with masks.

    DATA is laid out as for `sidscan train-localizer`. The map of each image is compared with its mask: IoU
    as DeCLIP's authors compute it, average precision, and F1 at 0.5 and at the best threshold. Where DATA has
    real images, too, sidscan says how well the marked area tells the two apart. It writes CSV, JSON and
    Markdown to --out, and the Markdown also to standard output; the same command continues an interrupted
    run.

    \b
    Examples:
      sidscan evaluate localization ./celebahq --model ldm.safetensors --out results
      sidscan evaluate localization ./AutoSplice --model ldm.safetensors --perturb jpeg-75,resize-0.5 --out as

    \b
    Exit codes:
      0  done                               4  model unknown, missing, altered
      2  wrong usage, layout, or an image   6  device or precision not available
         or mask that can't be used         7  a result can't be written
      3  done; images were left out         130  interrupted; run again to continue
    """
    training.need_training_extra()
    require("evaluation", "torch")
    from sidscan.training.common import files  # here: these load NumPy and torch
    from sidscan.training.localization.evaluation import results, tables

    if not overwrite:
        files.check_unedited(out, tables.RESULT_FILES)
    echo = console.reporter(quiet)
    images = _images(data, choices, echo)
    localizers = [_open(model, encoders, choices, echo) for model in dict.fromkeys(models)]
    _require_distinct_names([localizer.info.name for localizer in localizers])
    rows = _measure(images, localizers, out, fresh, choices, quiet, echo)
    if not overwrite:
        files.check_unedited(out, tables.RESULT_FILES)  # again: hours may have passed
    click.echo(tables.write_results(out, results.figures(rows)), nl=False)
    files.note_written(out, tables.RESULT_FILES)
    echo(f"results: {out}")
    return ExitCode.DONE_WITH_FAILURES if any(row.error for row in rows) else ExitCode.DONE


def _images(data: Path | None, choices: dict[str, Any], echo: Echo) -> list[LabelledImage]:
    """The images to measure; masks that seem to be inverted are refused before any work."""
    from sidscan.training.localization.examples import choose_images, list_data_set
    from sidscan.training.localization.survey import check_masks

    named = data_options.data_set(data, choices["manifest"], choices["layout"], choices["sets"])
    listed = list_data_set(*named)
    black = training.black_is_synthetic(choices["synthetic_is"])
    images, _ = choose_images(listed, choices["part"], real=True, black_is_synthetic=black)
    if choices["part"] == "test" and not any(image.split == "test" for image in images):
        echo(
            "warning: the data set has no part for tests, so all of its images are measured; a localizer "
            "that was trained on some of them looks better than it is"
        )
    empty = check_masks(images, choices["synthetic_is"] != "auto", choices["workers"])
    real = sum(image.is_real for image in images)
    sets = ", ".join(sorted({image.set for image in images if image.set}))
    echo(f"data: {len(images) - real} images with masks and {real} real ones ({sets})")
    if empty:
        echo(f"  {empty} of the masks mark nothing: IoU is 100 there if a map marks nothing, else 0")
    return images


def _require_distinct_names(names: list[str]) -> None:
    """Refuse localizers that the tables could not tell apart: those in files are called by the file's name.

    Raises:
        UsageError: two have one name.
    """
    if equal := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"several localizers are called {', '.join(equal)}", "Rename a file, or measure them one by one."
        )


def _open(model: str, encoders: Sequence[Path], choices: dict[str, Any], echo: Echo) -> PyTorchLocalizer:
    from sidscan.models.localizers import load_localizer
    from sidscan.runtimes.pytorch_localizer import PyTorchLocalizer

    loaded = load_localizer(model, encoders=encoders)
    localizer = PyTorchLocalizer(loaded, choices["device"], choices["precision"])
    runtime = localizer.runtime
    echo(f"localizer: {model}; {runtime.runtime}, {runtime.device}, {runtime.precision}")
    return localizer


def _measure(
    images: list[LabelledImage],
    localizers: list[PyTorchLocalizer],
    out: Path,
    fresh: bool,
    choices: dict[str, Any],
    quiet: bool,
    echo: Echo,
) -> list[MapRow]:
    from sidscan.training.common.degradations import Degradation, parse_degradation
    from sidscan.training.localization.evaluation.run import MapEvaluation, MapEvaluationConfig, open_rows

    changes = data_options.comma_separated(choices["perturbations"])
    config = MapEvaluationConfig(
        protocol=choices["protocol"],
        max_tiles=choices["max_tiles"],
        perturbations=tuple(dict.fromkeys((Degradation(), *map(parse_degradation, changes)))),
        workers=choices["workers"],
        skip_unreadable=choices["skip_unreadable"],
        resize_masks=choices["resize_masks"],
    )
    with open_rows(out, images, localizers, config, fresh) as file:
        evaluation = MapEvaluation(images, localizers, config, file)
        if evaluation.num_reused:
            kept = f"{evaluation.num_reused} of {console.plural(evaluation.num_maps, 'map')} kept"
            echo(f"{kept} from an earlier run in {file.path} (--fresh starts over)")
        _run(evaluation, quiet)
        return evaluation.rows()


def _run(evaluation: MapEvaluation, quiet: bool) -> None:
    """Measure what has no row yet, with a progress bar on a terminal."""
    done, total = evaluation.num_reused, evaluation.num_maps
    try:
        with progress(total, "map", done=done, quiet=quiet) as bar:
            for count in evaluation:
                done += count
                bar.update(count)
    except KeyboardInterrupt:
        path = evaluation.file.path
        console.echo(f"interrupted after {done} of {total} maps, kept in {path}; the same command continues")
        raise
