"""``sidscan evaluate run`` and ``sidscan evaluate report``; ``localization`` has a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidscan.cli import checks, console, data_options, evaluate_localization
from sidscan.cli.evaluate_options import (
    AllRunOptions,
    MeasureOptions,
    find_test_sets,
    metrics_config,
    report_options,
    run_options,
)
from sidscan.cli.evaluate_results import (
    check_unedited,
    note_written,
    require_packages,
    write_report,
)
from sidscan.cli.evaluate_scoring import (
    check_published,
    degradations_of,
    measure_speeds,
    open_run,
    score_all,
    score_degraded,
)
from sidscan.cli.help_sections import Command, Group
from sidscan.errors import ExitCode, UsageError
from sidscan.util.files import open_file, real_path

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Unpack

    from sidscan.training.datasets.rows import Split

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("evaluate", cls=Group)
def command() -> None:
    """Measure detectors and localizers on labelled test sets.

    `run` scores images and writes scores, tables and plots. `report` writes tables and plots again, from the
    scores of an earlier run. `localization` compares the maps of localizers with masks.

    \b
    Examples:
      sidscan evaluate run ./test --model rine-4class --out results --compare
      sidscan evaluate report results/scores.csv --out again --fpr 0.01
      sidscan evaluate localization ./celebahq --model ldm.safetensors --out maps
    """


command.add_command(evaluate_localization.command)


@command.command("run", cls=Command)
@report_options
@run_options
def run_command(max_feature_images: int, **choices: Unpack[AllRunOptions]) -> ExitCode:
    """Score labelled test sets, and write tables and plots.

    TESTS holds CNNDetection's test sets or Synthbuster as published: biggan/0_real, biggan/1_fake, ...;
    progan/CLASS/0_real, ...; diffusion_datasets/ldm_200/1_fake with diffusion_datasets/laion/0_real, ...; or
    RAISEpng and synthbuster/dalle2, .... --layout names other layouts. For any other images, name a list of
    them with --manifest, or two folders with --real and --synthetic.

    sidscan computes accuracy, AP, AUROC, TPR at a fixed FPR, and EER for each set, and averages them over the
    sets. It writes CSV, Markdown and plots to --out, and the Markdown also to standard output. It keeps the
    scores in scores.csv; the same command continues an interrupted run from there. --degrade measures all
    images again at several strengths of JPEG, resizing and so on, and draws the curves.

    \b
    Examples:
      sidscan evaluate run ./test --model rine-4class --out results --compare
      sidscan evaluate run ./test --sets biggan,deepfake --perturb blur --out blurred
      sidscan evaluate run --manifest images.csv --degrade jpeg,resize --out results
      sidscan evaluate run --real ./photos --synthetic ./generated --out pair

    \b
    Exit codes:
      0  done                               4  model unknown, missing, altered
      2  wrong usage, layout, or an image   6  device or precision not available
         that can't be read                 7  a result can't be written
      3  done; images were left out         130  interrupted; run again to continue
    """
    checks.check_models(choices["models"], choices["encoder"])
    test_sets, tests = find_test_sets(choices)
    require_packages(choices["plots"])
    degradations = degradations_of(choices)
    from sidscan.training.common.run_settings import note_settings
    from sidscan.training.evaluation import report  # here: it loads NumPy, pandas and torch

    check_unedited(choices)
    echo = console.reporter(choices["quiet"])
    config, out, compare = metrics_config(choices), choices["out"], choices["compare"]
    if compare is not None:
        check_published(choices, compare)
    evaluation = open_run(choices, test_sets, tests, echo)
    note_settings(out, config.costs())
    scores = score_all(evaluation, choices["quiet"])
    score_degraded(evaluation, tests, degradations, choices, echo)
    speeds = measure_speeds(evaluation, choices, echo)
    code = write_report(scores, config, choices, evaluation.runs, evaluation.classes, out, speeds)
    if choices["plots"]:
        for remark in report.write_model_plots(out, evaluation, max_feature_images):
            echo(remark)
        note_written(out)
    echo(f"results: {out}")
    return code


@command.command("report", cls=Command)
@click.argument("scores", type=_FILE)
@data_options.manifest("Labels of the images, if SCORES is a report or the record of a scan.")
@data_options.sets("the manifest")
@data_options.part("test", "Part of the manifest that is measured.")
@report_options
def report_command(
    scores: Path,
    manifest: Path | None,
    sets: tuple[str, ...],
    part: Split,
    **choices: Unpack[MeasureOptions],
) -> ExitCode:
    """Write tables and plots from a scores file, or from a scan and labels.

    This needs no models. SCORES is the scores.csv of `sidscan evaluate run`, or a CSV file of your own with
    the columns set, label (real or synthetic) and score (0 to 1). With --manifest, SCORES is a report of
    `sidscan scan` in any format, or its record; images are matched by their bytes.

    \b
    Examples:
      sidscan evaluate report results/scores.csv --out again --fpr 0.01
      sidscan evaluate report my-scores.csv --out mine --compare progan-4class
      sidscan evaluate report report.csv --manifest images.csv --out measured

    \b
    Exit codes:
      0  done            3  done; images were left out
      2  wrong usage     7  a result can't be written
    """
    _check_scores_file(scores)
    require_packages(choices["plots"])
    from sidscan.training.common import files  # here: these load NumPy and pandas
    from sidscan.training.common.run_settings import note_settings
    from sidscan.training.evaluation.scores import read_scores

    scored_in = scores.parent if manifest is None and scores.name == "scores.csv" else None
    config = metrics_config(choices, scored_in)
    if manifest is None and sets:
        raise UsageError("--sets has no effect without --manifest", "Leave it out.")
    table = read_scores(scores) if manifest is None else _scan_scores(scores, manifest, sets, part)
    check_unedited(choices)
    files.make_folder(choices["out"])
    if scored_in and real_path(scored_in) == real_path(choices["out"]):
        note_settings(scored_in, config.costs())
    code = write_report(table, config, choices, scored_in=scored_in)
    console.reporter(choices["quiet"])(f"results: {choices['out']}")
    return code


def _scan_scores(report: Path, manifest: Path, sets: tuple[str, ...], part: Split) -> pd.DataFrame:
    """The scores of a scan for labelled images."""
    from sidscan.training.evaluation.scan_scores import join_scan
    from sidscan.training.evaluation.testsets import find_test_sets, parse_set_keys

    joined = join_scan(report, find_test_sets(manifest, "manifest", parse_set_keys(sets), part))
    if joined.absent:
        console.echo(f"{console.plural(joined.absent, 'image')} of {manifest} not in {report}")
    if joined.changed:
        changed = console.plural(joined.changed, "image")
        console.echo(f"{changed} of {manifest} changed since the scan (other bytes), left out")
    if joined.by_name:
        named = console.plural(joined.by_name, "image")
        console.echo(f"{named} matched by path alone: {report} states no digest of them")
    if joined.unlabelled:
        console.echo(f"{console.plural(joined.unlabelled, 'row')} of {report} without a label, left out")
    return joined.table


def _check_scores_file(path: Path) -> None:
    """Refuse what is not a file at once, in the words of `evaluation.scores.read_scores`."""
    try:
        open_file(path).close()
    except OSError as error:
        raise UsageError(f"can't read the scores in {path}: {error.strerror or error}") from error
