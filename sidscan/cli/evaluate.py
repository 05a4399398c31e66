"""``sidscan evaluate run`` and ``sidscan evaluate report``; ``localization`` has a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from sidscan.cli import console, data_options, evaluate_localization, options
from sidscan.cli.help_sections import Command, Group
from sidscan.cli.param_types import Number, WholeNumber
from sidscan.errors import ExitCode, UsageError
from sidscan.util.files import open_file
from sidscan.util.progress import progress
from sidscan.util.terminal import Echo

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Unpack

    from sidscan.config import Crops, Device, Precision
    from sidscan.training.datasets.rows import Split
    from sidscan.training.evaluation.results import MetricsConfig, ModelMetrics
    from sidscan.training.evaluation.run import Evaluation
    from sidscan.training.evaluation.tables import PublishedRuns
    from sidscan.training.evaluation.testsets import TestSetCollection

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_RUN_OF_MODEL = ""  # value of --compare without a name: each model's own published run
_TABLES = (
    *("results.csv", "results.md", "results.tex", "generators.csv", "reliability.csv"),
    *("differences.csv", "agreement.csv", "only-one.csv"),
)
_PERTURBATIONS = (  # the keys of training.evaluation.perturbations.PERTURBATIONS; importing them loads NumPy
    *("blur", "crop", "compress", "noise", "combined"),
    *("compress-published", "combined-published"),
)


class _RunOptions(TypedDict):
    """Options of `run` that say what is scored, and how."""

    tests: Path | None
    real: Path | None
    synthetic: Path | None
    manifest: Path | None
    layout: str | None
    sets: tuple[str, ...]
    part: Split
    models: tuple[str, ...]
    encoder: Path | None
    crops: Crops | None
    device: Device
    precision: Precision
    batch: int | None
    workers: int | None
    perturbation: str | None
    skip_unreadable: bool
    fresh: bool


class _ReportOptions(TypedDict):
    """Options of both commands: what is computed from scores, and where it goes."""

    out: Path
    threshold: float
    fpr: float
    resamples: int
    seed: int
    compare: str | None
    plots: bool
    overwrite: bool
    quiet: bool


class _AllRunOptions(_RunOptions, _ReportOptions):
    """All options of `run` but ``max_feature_images``."""


_report_options = options.stack(
    options.sectioned_option(
        "--out",
        section="Output",
        type=_FOLDER,
        required=True,
        help="Folder for the results. It is created if needed.",
    ),
    options.sectioned_option(
        "--threshold",
        section="Metrics",
        type=Number(),
        default=0.5,
        show_default=True,
        help="Count images with a score above it as synthetic.",
    ),
    options.sectioned_option(
        "--fpr",
        section="Metrics",
        type=Number(),
        default=0.05,
        show_default=True,
        help="False-positive rate at which the true-positive rate is measured.",
    ),
    options.sectioned_option(
        "--bootstrap",
        "resamples",
        section="Metrics",
        type=WholeNumber(),
        default=1000,
        show_default=True,
        help="Bootstrap resamples for the 95 % intervals; 0 leaves the intervals out.",
    ),
    options.sectioned_option(
        "--seed",
        section="Metrics",
        type=WholeNumber(min=0),
        default=0,
        show_default=True,
        help="Seed of all random numbers.",
    ),
    options.sectioned_option(
        "--compare",
        section="Metrics",
        is_flag=False,
        flag_value=_RUN_OF_MODEL,
        metavar="[RUN]",
        help="Add the figures that RINE's authors published: for the model itself, or for RUN, "
        "e.g. progan-4class.",
    ),
    options.sectioned_option(
        "--plots/--no-plots",
        section="Output",
        default=True,
        show_default=True,
        help="Draw plots, as PNG and SVG.",
    ),
    options.sectioned_option(
        "--overwrite",
        section="Output",
        is_flag=True,
        help="Replace tables and plots in --out even if somebody edited them.",
    ),
    options.quiet(),
)

_run_options = options.stack(
    click.argument("tests", required=False, type=click.Path(path_type=Path)),
    data_options.labelled_data(folder="TESTS"),
    data_options.part("test", "Part of the data set that is scored."),
    options.sectioned_option(
        "--real",
        section="Input",
        type=_FOLDER,
        help="Folder of real images; with --synthetic, instead of TESTS.",
    ),
    options.sectioned_option(
        "--synthetic", section="Input", type=_FOLDER, help="Folder of synthetic images; with --real."
    ),
    options.model(crops=None, crops_shown="center; ten for Synthbuster", graphs=False, effort=False),
    options.sectioned_option(
        "--perturb",
        "perturbation",
        section="Input",
        type=click.Choice(_PERTURBATIONS),
        help="Perturb each image with probability 0.5 (paper, section 5.6). "
        "The '-published' ones compress JPEG as the authors' code does.",
    ),
    options.sectioned_option(
        "--project",
        "max_feature_images",
        section="Output",
        type=WholeNumber(min=0),
        default=2000,
        show_default=True,
        help="Images in the feature-space plots. Each of them goes through the encoder once more. "
        "Only the first 6 models get such a plot; 0 draws none.",
    ),
    options.sectioned_option(
        "--skip-unreadable",
        section="Input",
        is_flag=True,
        help="Leave out images that can't be read, and count them. Without it, the first one stops the run.",
    ),
    options.sectioned_option(
        "--fresh", section="Output", is_flag=True, help="Delete the scores in --out and start over."
    ),
)


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
@_report_options
@_run_options
def run_command(max_feature_images: int, **choices: Unpack[_AllRunOptions]) -> ExitCode:
    """Score labelled test sets, and write tables and plots.

    TESTS holds CNNDetection's test sets or Synthbuster as published: biggan/0_real, biggan/1_fake, ...;
    progan/CLASS/0_real, ...; diffusion_datasets/ldm_200/1_fake with diffusion_datasets/laion/0_real, ...; or
    RAISEpng and synthbuster/dalle2, .... --layout names other layouts. For any other images, name a list of
    them with --manifest, or two folders with --real and --synthetic.

    sidscan computes accuracy, AP, AUROC, TPR at a fixed FPR, and EER for each set, and averages them over the
    sets. It writes CSV, Markdown and plots to --out, and the Markdown also to standard output. It keeps the
    scores in scores.csv; the same command continues an interrupted run from there.

    \b
    Examples:
      sidscan evaluate run ./test --model rine-4class --out results --compare
      sidscan evaluate run ./test --sets biggan,deepfake --perturb blur --out blurred
      sidscan evaluate run --manifest images.csv --out results
      sidscan evaluate run --real ./photos --synthetic ./generated --out pair

    \b
    Exit codes:
      0  done                               4  model unknown, missing, altered
      2  wrong usage, layout, or an image   6  device or precision not available
         that can't be read                 7  a result can't be written
      3  done; images were left out         130  interrupted; run again to continue
    """
    console.check_models(choices["models"], choices["encoder"])
    test_sets, tests = _find_test_sets(choices)
    _require_packages(choices["plots"])
    from sidscan.training.evaluation import report  # here: it loads NumPy, pandas and torch

    _check_unedited(choices)
    echo = console.reporter(choices["quiet"])
    config, out, compare = _metrics_config(choices), choices["out"], choices["compare"]
    if compare is not None:
        _check_published(choices, compare)
    evaluation = _open(choices, test_sets, tests, echo)
    scores = _score_all(evaluation, choices["quiet"])
    results = _write_report(scores, config, choices, evaluation.runs, evaluation.classes)
    if choices["plots"]:
        for remark in report.write_model_plots(out, evaluation, max_feature_images):
            echo(remark)
        _note_written(out)
    echo(f"results: {out}")
    return _exit_code(results)


@command.command("report", cls=Command)
@click.argument("scores", type=_FILE)
@data_options.manifest("Labels of the images, if SCORES is a report or the record of a scan.")
@data_options.sets("the manifest")
@data_options.part("test", "Part of the manifest that is measured.")
@_report_options
def report_command(
    scores: Path,
    manifest: Path | None,
    sets: tuple[str, ...],
    part: Split,
    **choices: Unpack[_ReportOptions],
) -> ExitCode:
    """Write tables and plots from a scores file, or from a scan and labels.

    This needs no models. SCORES is the scores.csv of `sidscan evaluate run`, or a CSV file of your own with
    the columns set, label (real or synthetic) and score (0 to 1). With --manifest, SCORES is a report of
    `sidscan scan` in any format, or its record; images are matched by path, else by their bytes.

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
    _require_packages(choices["plots"])
    from sidscan.training.common import files  # here: these load NumPy and pandas
    from sidscan.training.evaluation.scores import read_scores

    config = _metrics_config(choices)
    if manifest is None and sets:
        raise UsageError("--sets has no effect without --manifest", "Leave it out.")
    table = read_scores(scores) if manifest is None else _scan_scores(scores, manifest, sets, part)
    _check_unedited(choices)
    files.make_folder(choices["out"])
    results = _write_report(table, config, choices)
    console.reporter(choices["quiet"])(f"results: {choices['out']}")
    return _exit_code(results)


def _scan_scores(report: Path, manifest: Path, sets: tuple[str, ...], part: Split) -> pd.DataFrame:
    """The scores of a scan for labelled images."""
    from sidscan.training.evaluation.scan_scores import join_scan
    from sidscan.training.evaluation.testsets import find_test_sets, parse_set_keys

    joined = join_scan(report, find_test_sets(manifest, "manifest", parse_set_keys(sets), part))
    if joined.absent:
        console.echo(f"{console.plural(joined.absent, 'image')} of {manifest} not in {report}")
    if joined.unlabelled:
        console.echo(f"{console.plural(joined.unlabelled, 'row')} of {report} without a label, left out")
    return joined.table


def _check_scores_file(path: Path) -> None:
    """Refuse what is not a file at once, in the words of `evaluation.scores.read_scores`."""
    try:
        open_file(path).close()
    except OSError as error:
        raise UsageError(f"can't read the scores in {path}: {error.strerror or error}") from error


def _require_packages(plots: bool) -> None:
    """Finds out before hours of scoring that a package is missing."""
    from sidscan.training.common.extras import import_extra

    for module in ("sklearn", *(["matplotlib"] if plots else [])):
        import_extra(module)


def _check_published(choices: _AllRunOptions, run: str) -> None:
    """Finds out before models are loaded, and before hours of scoring, that no such run was published."""
    from sidscan.models.refs import ModelKind, choose_models
    from sidscan.training.evaluation import tables
    from sidscan.training.evaluation.run import checkpoint_origins

    models = choose_models(choices["models"]).models
    names = [model.name if model.kind is ModelKind.CATALOG else model.path.name for model in models]
    tables.runs_to_compare(names, choices["perturbation"] or "", run, checkpoint_origins(models)[0])


def _metrics_config(choices: _ReportOptions) -> MetricsConfig:
    from sidscan.training.evaluation.results import MetricsConfig

    return MetricsConfig(
        threshold=choices["threshold"],
        fpr=choices["fpr"],
        resamples=choices["resamples"],
        seed=choices["seed"],
    )


def _write_report(
    scores: pd.DataFrame,
    config: MetricsConfig,
    choices: _ReportOptions,
    runs: Mapping[str, str] | None = None,
    classes: Mapping[str, str] | None = None,
) -> list[ModelMetrics]:
    """Compute metrics and write what needs nothing but scores; prints the Markdown.

    Args:
        runs: checkpoints by name -> the published run with their configuration.
        classes: checkpoints by name -> what they were trained on.
    """
    from sidscan.training.evaluation import report, tables
    from sidscan.training.evaluation.results import compute_model_metrics

    results = compute_model_metrics(scores, config)
    _check_unedited(choices)  # again: hours may have passed
    compared: PublishedRuns = {}
    if choices["compare"] is not None:
        models = [result.model for result in results]
        compared = tables.runs_to_compare(models, results[0].perturbation, choices["compare"], runs)
    click.echo(report.write_tables(choices["out"], scores, results, config, compared, classes), nl=False)
    if choices["plots"]:
        report.write_score_plots(choices["out"], results, config, compared)
    _note_written(choices["out"])
    return results


def _result_files(folder: Path) -> list[str]:
    """The tables, and the plots that are there."""
    plots = (
        path.name
        for stem in ("roc", "sets", "reliability", "generators", "importance", "features-*")
        for suffix in (".png", ".svg")
        for path in folder.glob(stem + suffix)
    )
    return [*_TABLES, *sorted(plots)]


def _check_unedited(choices: _ReportOptions | _AllRunOptions) -> None:
    """Refuse to replace tables and plots that somebody edited."""
    from sidscan.training.common.files import check_unedited

    if not choices["overwrite"]:
        check_unedited(choices["out"], _result_files(choices["out"]))


def _note_written(folder: Path) -> None:
    from sidscan.training.common.files import note_written

    note_written(folder, _result_files(folder))


def _exit_code(results: list[ModelMetrics]) -> ExitCode:
    return ExitCode.DONE_WITH_FAILURES if any(result.mean.unreadable for result in results) else ExitCode.DONE


def _open(choices: _AllRunOptions, test_sets: TestSetCollection, tests: list[Path], echo: Echo) -> Evaluation:
    """Load the models, find out what an earlier run has scored, and announce it all."""
    from sidscan.training.evaluation.run import EvaluationConfig, open_evaluation

    use_ten = test_sets.layout == "synthbuster" and not choices["perturbation"]
    config = EvaluationConfig(
        crops=choices["crops"] or ("ten" if use_ten else "center"),
        perturbation=choices["perturbation"] or "",
        seed=choices["seed"],
        device=choices["device"],
        precision=choices["precision"],
        workers=choices["workers"],
        batch=choices["batch"],
        skip_unreadable=choices["skip_unreadable"],
    )
    if test_sets.missing:
        echo(f"not there: {', '.join(test_sets.missing)}")
    evaluation = open_evaluation(
        test_sets,
        tests,
        choices["models"],
        choices["out"],
        config,
        fresh=choices["fresh"],
        encoder=choices["encoder"],
    )
    _announce(evaluation, choices["threshold"], echo)
    return evaluation


def _announce(evaluation: Evaluation, threshold: float, echo: Echo) -> None:
    """Say what will run. A model that replaces the default one is named in spite of --quiet."""
    detectors = evaluation.runtime.detectors
    echo_model = console.echo if evaluation.choice.is_fallback else echo
    echo_model(f"model: {', '.join(detector.name for detector in detectors)} ({evaluation.choice})")
    if evaluation.choice.remedy:
        echo(evaluation.choice.remedy)
    for detector in detectors:
        if detector.threshold != threshold:
            echo(
                f"{detector.name}'s own threshold is {detector.threshold:g}; "
                f"accuracy is measured at {threshold:g} (--threshold)"
            )
    info = evaluation.runtime.info
    echo(f"runtime: {info.runtime}, {info.device}, {info.precision}; {evaluation.config.crops} crops")
    console.announce_views(detectors, echo)
    if evaluation.num_reused:
        reused = f"{evaluation.num_reused} of {console.plural(evaluation.num_images, 'image')} kept"
        echo(f"{reused} from an earlier run in {evaluation.file.path} (--fresh starts over)")


def _find_test_sets(choices: _RunOptions) -> tuple[TestSetCollection, list[Path]]:
    """The test sets that the command names, and the folders that hold them."""
    from sidscan.training.evaluation import testsets

    tests, real, synthetic = choices["tests"], choices["real"], choices["synthetic"]
    named_so = [option for option in ("manifest", "layout", "sets") if choices[option]]
    if real and synthetic and not tests:
        if named_so:
            raise UsageError(
                f"--{named_so[0]} can't be combined with --real and --synthetic", "Leave one of them out."
            )
        return testsets.pair_of_folders(real, synthetic), [real, synthetic]
    if tests and (real or synthetic):
        raise UsageError("TESTS can't be combined with --real and --synthetic", "Leave one of them out.")
    if not tests and not choices["manifest"]:
        raise UsageError(
            "no test images are named", "Name TESTS, a file with --manifest, or both --real and --synthetic."
        )
    named = data_options.data_set(tests, choices["manifest"], choices["layout"], choices["sets"])
    keys = testsets.parse_set_keys(named.sets)
    return testsets.find_test_sets(named.data, named.layout, keys, choices["part"]), [named.data]


def _score_all(evaluation: Evaluation, quiet: bool) -> pd.DataFrame:
    """Score the images that have no score yet, with a progress bar on a terminal."""
    done, total = evaluation.num_reused, evaluation.num_images
    try:
        with evaluation.file, progress(total, "image", done=done, quiet=quiet) as bar:
            for count in evaluation:
                done += count
                bar.update(count)
            return evaluation.score_table()  # before another evaluation may start over
    except KeyboardInterrupt:
        path = evaluation.file.path
        console.echo(
            f"interrupted after {done} of {total} images, kept in {path}; the same command continues"
        )
        raise
