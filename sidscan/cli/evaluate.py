"""``sidscan evaluate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sidscan.cli import console, options
from sidscan.errors import ExitCode, UsageError
from sidscan.util.terminal import Echo, progress_stream

if TYPE_CHECKING:
    import pandas as pd

    from sidscan.training.evaluation.published import PublishedRun
    from sidscan.training.evaluation.run import Evaluation
    from sidscan.training.evaluation.testsets import Found

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_OWN_RUN = ""  # of --compare: the published run of the model itself
_ALSO_OF_SCORES = {"seed"}  # of the parameters that the command takes together, as `choices`
_PERTURBATIONS = (
    *("blur", "crop", "compress", "noise", "combined"),
    *("compress-published", "combined-published"),
)


@click.command("evaluate")
@click.argument("tests", required=False, type=_FOLDER)
@click.option("--real", type=_FOLDER, help="Instead of TESTS: a folder of real pictures ...")
@click.option("--synthetic", type=_FOLDER, help="... and one of synthetic pictures.")
@click.option("--scores", type=_FILE, help="Instead of pictures: make tables and plots of this scores file.")
@click.option("--out", type=_FOLDER, required=True, help="Folder for scores, tables and plots.")
@click.option("--sets", multiple=True, metavar="A,B", help="Only these test sets. Repeatable.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "cnndetection", "synthbuster"]),
    default="auto",
    show_default=True,
    help="How TESTS is laid out.",
)
@options.model(crops=None, crops_shown="center; ten for Synthbuster", graphs=False)
@click.option(
    "--perturb",
    "perturbation",
    type=click.Choice(_PERTURBATIONS),
    help="Perturb each picture with probability 0.5 (paper, section 5.6). "
    "'-published' has JPEG as the authors' code has it.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of perturbations and resamples."
)
@click.option("--threshold", default=0.5, show_default=True, help="Scores above it count as synthetic.")
@click.option("--fpr", default=0.05, show_default=True, help="False-positive rate to tell the TPR at.")
@click.option(
    "--bootstrap", "draws", default=1000, show_default=True, help="Resamples for 95 % intervals; 0: none."
)
@click.option(
    "--compare",
    is_flag=False,
    flag_value=_OWN_RUN,
    metavar="[RUN]",
    help="Set the authors' figures beside: those of the model, or of RUN, e.g. progan-4class.",
)
@click.option("--plots/--no-plots", default=True, show_default=True, help="Draw PNG and SVG.")
@click.option(
    "--project",
    "most",
    type=click.IntRange(min=0),
    default=2000,
    show_default=True,
    help="Pictures in the feature-space plots, of 6 models at most; each costs one more pass. 0: none.",
)
@click.option("--skip-unreadable", is_flag=True, help="Leave unreadable pictures out, counted, and go on.")
@click.option("--fresh", is_flag=True, help="Forget the scores in --out and start over.")
@click.option("--quiet", "-q", is_flag=True, help="On standard error only errors.")
def command(
    out: Path,
    scores: Path | None,
    threshold: float,
    fpr: float,
    draws: int,
    compare: str | None,
    plots: bool,
    quiet: bool,
    **choices: Any,
) -> ExitCode:
    """Measure detectors on labelled test sets.

    TESTS holds CNNDetection's test sets or Synthbuster as published: biggan/0_real, biggan/1_fake, ...;
    progan/CLASS/0_real, ...; diffusion_datasets/ldm_200/1_fake with diffusion_datasets/laion/0_real, ...; or
    RAISEpng and synthbuster/dalle2, .... Accuracy, AP, AUROC, TPR at a fixed FPR and EER, per set and
    averaged, go to --out as CSV, Markdown and plots; the Markdown also to standard output. The scores stay in
    scores.csv, from which an interrupted evaluation continues.

    \b
    Examples:
      sidscan evaluate ./test --model rine-4class --out results --compare
      sidscan evaluate ./test --sets biggan,deepfake --perturb blur --out blurred
      sidscan evaluate --real ./photos --synthetic ./generated --out pair
      sidscan evaluate --scores results/scores.csv --out again --compare progan-4class

    \b
    Exit codes:
      0  done                               4  model unknown, missing, altered
      2  wrong usage, layout, or a picture  6  device or precision not available
         that can't be read                 7  a result can't be written
      3  done; pictures were left out       130  interrupted; run again to continue
    """
    if scores:
        _refuse_of_pictures(choices)
    from sidscan.training.common.extras import import_extra

    for module in ("sklearn", *(["matplotlib"] if plots else [])):
        import_extra(module)  # before hours of scoring
    from sidscan.training.evaluation import (  # here: these load numpy, pandas and torch
        report,
        results,
        tables,
    )

    say = console.reporter(quiet)
    config = results.ResultsConfig(threshold=threshold, fpr=fpr, draws=draws, seed=choices["seed"])
    run = None if scores else _open(out, choices, threshold, say)
    if run and compare is not None:  # an unknown run, too, is found out before
        models = [detector.name for detector in run.runtime.detectors]
        tables.compare(models, run.config.perturbation, compare, run.runs)
    rows = _consume(run, quiet) if run else _read(scores, out)
    found = results.results(rows, config)
    compared: dict[str, PublishedRun] = {}
    if compare is not None:
        models = [one.model for one in found]
        compared = tables.compare(models, found[0].perturbation, compare, run.runs if run else None)
    classes = run.classes if run else None
    click.echo(report.write_tables(out, found, config, compared, classes), nl=False)
    if plots:
        report.write_plots(out, found, config, compared)
    if plots and run:
        for remark in report.write_model_plots(out, run, choices["most"]):
            say(remark)
    say(f"results: {out}")
    return ExitCode.DONE_WITH_FAILURES if any(one.mean.unreadable for one in found) else ExitCode.DONE


def _open(out: Path, choices: dict[str, Any], threshold: float, say: Echo) -> Evaluation:
    """Find the test sets, load the models, and see what an earlier run has done."""
    from sidscan.training.evaluation import run as evaluation

    found, tests = _find(choices)
    ten = found.layout == "synthbuster" and not choices["perturbation"]
    names = ("device", "precision", "workers", "batch", "seed", "skip_unreadable")
    config = evaluation.EvaluationConfig(
        crops=choices["crops"] or ("ten" if ten else "center"),
        perturbation=choices["perturbation"] or "",
        **{name: choices[name] for name in names},
    )
    if found.missing:
        say(f"not there: {', '.join(found.missing)}")
    run = evaluation.open_evaluation(
        found, tests, choices["models"], out, config, fresh=choices["fresh"], encoder=choices["encoder"]
    )
    (console.echo if run.choice.is_fallback else say)(
        f"model: {', '.join(detector.name for detector in run.runtime.detectors)} ({run.choice})"
    )
    for detector in run.runtime.detectors:
        if detector.threshold != threshold:
            own = f"{detector.name}'s own threshold is {detector.threshold:g}"
            say(f"{own}; accuracy is told at {threshold:g} (--threshold)")
    info = run.runtime.info
    say(f"runtime: {info.runtime}, {info.device}, {info.precision}; {config.crops} crops")
    if run.kept:
        kept = f"{run.kept} of {run.total} pictures kept"
        say(f"{kept} from an earlier run in {run.file.path} (--fresh starts over)")
    return run


def _find(choices: dict[str, Any]) -> tuple[Found, list[Path]]:
    """The test sets asked for, and the folders they are in."""
    from sidscan.training.evaluation import testsets

    tests, real, synthetic = choices["tests"], choices["real"], choices["synthetic"]
    if real and synthetic and not tests:
        if choices["sets"] or choices["layout"] != "auto":
            raise UsageError(
                "--sets and --layout are of TESTS", "Leave them out with --real and --synthetic."
            )
        return testsets.pair(real, synthetic), [real, synthetic]
    if tests and (real or synthetic):
        raise UsageError("TESTS and --real, --synthetic exclude one another", "Leave one of them out.")
    if not tests:
        raise UsageError(
            "it is not clear which pictures are meant",
            "Name TESTS, or both --real and --synthetic, or --scores.",
        )
    return testsets.find(tests, choices["layout"], testsets.parse_keys(choices["sets"])), [tests]


def _refuse_of_pictures(choices: dict[str, Any]) -> None:
    """With --scores there is nothing that an option of pictures or models could do."""
    context = click.get_current_context()
    given = [
        "TESTS" if isinstance(parameter, click.Argument) else parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in choices.keys() - _ALSO_OF_SCORES
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError(f"--scores takes no pictures and no model ({', '.join(given)})", "Leave those out.")


def _read(scores: Path | None, out: Path) -> pd.DataFrame:
    """Scores that were made before."""
    from sidscan.training.common import files
    from sidscan.training.evaluation import scores as score_files

    assert scores
    rows = score_files.read(scores)
    files.make_folder(out)
    return rows


def _consume(evaluation: Evaluation, quiet: bool) -> pd.DataFrame:
    """Score what is left, showing how far it is on a terminal."""
    from tqdm import tqdm

    done, total = evaluation.kept, evaluation.total
    show = sys.stderr.isatty() and not quiet
    try:
        shown = tqdm(total=total, initial=done, disable=not show, unit="picture", file=progress_stream())
        with evaluation.file, shown as bar:
            for count in evaluation:
                done += count
                bar.update(count)
            return evaluation.rows()  # before another evaluation may start over
    except KeyboardInterrupt:
        path = evaluation.file.path
        console.echo(
            f"interrupted after {done} of {total} pictures, kept in {path}; the same command continues"
        )
        raise
