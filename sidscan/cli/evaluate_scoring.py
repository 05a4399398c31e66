"""How ``sidscan evaluate run`` loads models and scores images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sidscan.cli import console
from sidscan.cli.evaluate_options import AllRunOptions
from sidscan.errors import UsageError
from sidscan.util.progress import progress
from sidscan.util.terminal import Echo

if TYPE_CHECKING:
    import pandas as pd

    from sidscan.training.common.degradations import Degradation
    from sidscan.training.evaluation.run import Evaluation
    from sidscan.training.evaluation.speed import Speed
    from sidscan.training.evaluation.testsets import TestSetCollection


def check_published(choices: AllRunOptions, run: str) -> None:
    """Finds out before models are loaded, and before hours of scoring, that no such run was published."""
    from sidscan.models.refs import ModelKind, choose_models
    from sidscan.training.evaluation import tables
    from sidscan.training.evaluation.run import checkpoint_origins

    models = choose_models(choices["models"]).models
    names = [model.name if model.kind is ModelKind.CATALOG else model.path.name for model in models]
    tables.runs_to_compare(names, choices["perturbation"] or "", run, checkpoint_origins(models)[0])


def degradations_of(choices: AllRunOptions) -> list[Degradation]:
    """What ``--degrade`` names.

    Raises:
        UsageError: there is no such degradation, or images are perturbed already.
        RuntimeUnavailable: OpenCV is not installed.
    """
    if not choices["degrade"]:
        return []
    if choices["perturbation"]:
        raise UsageError("--degrade can't be combined with --perturb", "Leave one of them out.")
    from sidscan.training.common.extras import import_extra
    from sidscan.training.evaluation.degraded import parse_degradations

    import_extra("cv2")
    return parse_degradations(choices["degrade"])


def score_degraded(
    evaluation: Evaluation,
    tests: list[Path],
    degradations: Sequence[Degradation],
    choices: AllRunOptions,
    echo: Echo,
) -> None:
    """Score all images again with each degradation, one after the other."""
    from sidscan.training.evaluation.degraded import degraded_evaluation

    for degradation in degradations:
        again = degraded_evaluation(evaluation, tests, degradation, choices["out"], choices["fresh"])
        echo(f"{degradation.name}: {_amount(again)}{_reused(again)}")
        score_all(again, choices["quiet"])


def _amount(evaluation: Evaluation) -> str:
    """How many images; sets may share some, which then stand in several rows of scores."""
    images = console.plural(evaluation.num_files, "image")
    if evaluation.num_files == evaluation.num_images:
        return images
    return f"{console.plural(evaluation.num_images, 'row')} of {images}"


def _reused(evaluation: Evaluation) -> str:
    """How much of it an earlier run has done; empty for nothing."""
    done, total = evaluation.num_reused, evaluation.num_images
    if done == total:
        return ", all kept from an earlier run"
    return f", {done} kept from an earlier run and {total - done} left" if done else ""


def measure_speeds(evaluation: Evaluation, choices: AllRunOptions, echo: Echo) -> list[Speed]:
    """Measure each detector alone, if ``--speed`` asks for it; one that can't be measured is named.

    What an earlier run measured goes, if this one measures again or starts over.
    """
    from sidscan.training.evaluation.speed import FILE, NotMeasured, measure_speed, sample

    if choices["speed"] or choices["fresh"]:
        (choices["out"] / FILE).unlink(missing_ok=True)
    if not choices["speed"]:
        return []
    images, speeds = sample(evaluation.test_sets, choices["speed"]), []
    for model in evaluation.choice.names:
        echo(f"{model}: time and memory of {console.plural(len(images), 'image')}")
        try:
            speeds.append(measure_speed(model, images, evaluation.config, choices["encoder"]))
        except NotMeasured as error:
            console.echo(f"{model}: time and memory were not measured: {error}")
    return speeds


def open_run(
    choices: AllRunOptions, test_sets: TestSetCollection, tests: list[Path], echo: Echo
) -> Evaluation:
    """Load the models, find out what an earlier run has scored, and announce it all."""
    from sidscan.training.evaluation.config import EvaluationConfig
    from sidscan.training.evaluation.run import open_evaluation

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
    _announce(evaluation, choices["threshold"], "unchanged: " if choices["degrade"] else "", echo)
    return evaluation


def _announce(evaluation: Evaluation, threshold: float, which: str, echo: Echo) -> None:
    """Say what will run. A model that replaces the default one is named in spite of --quiet.

    Args:
        which: tells these images from those that are degraded.
    """
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
        reused = f"{which}{_amount(evaluation)}{_reused(evaluation)}"
        echo(f"{reused}: {evaluation.file.path} (--fresh starts over)")


def score_all(evaluation: Evaluation, quiet: bool) -> pd.DataFrame:
    """Score the images that have no score yet, with a progress bar on a terminal."""
    done, total, amount = evaluation.num_reused, evaluation.num_images, _amount(evaluation)
    try:
        with evaluation.file, progress(total, "image", done=done, quiet=quiet) as bar:
            for count in evaluation:
                done += count
                bar.update(count)
            return evaluation.score_table()  # before another evaluation may start over
    except KeyboardInterrupt:
        degradation, path = evaluation.config.degradation, evaluation.file.path
        where = f" in {degradation.name}" if degradation else ""
        console.echo(
            f"interrupted{where} after {done} of {amount}, kept in {path}; the same command continues"
        )
        raise
