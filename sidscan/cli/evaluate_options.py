"""Options of ``sidscan evaluate run`` and ``sidscan evaluate report``, and what they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click
from click.core import ParameterSource

from sidscan.cli import console, data_options, options
from sidscan.cli.param_types import Number, OutputPath, WholeNumber
from sidscan.errors import UsageError

if TYPE_CHECKING:
    from sidscan.config import Crops, Device, Precision
    from sidscan.training.datasets.rows import Split
    from sidscan.training.evaluation.results import MetricsConfig
    from sidscan.training.evaluation.testsets import TestSetCollection

_FOLDER = click.Path(file_okay=False, path_type=Path)
_COSTS = {"prevalences": "--prevalence", "miss_costs": "--miss-cost"}
_RUN_OF_MODEL = ""  # value of --compare without a name: each model's own published run
_PERTURBATIONS = (  # the keys of training.evaluation.perturbations.PERTURBATIONS; importing them loads NumPy
    *("blur", "crop", "compress", "noise", "combined"),
    *("compress-published", "combined-published"),
)


class RunOptions(TypedDict):
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
    degrade: tuple[str, ...]
    speed: int | None
    skip_unreadable: bool
    fresh: bool


class MeasureOptions(TypedDict):
    """Options of both commands: what is computed from scores, and where it goes."""

    out: Path
    threshold: float
    fpr: float
    resamples: int
    seed: int
    prevalences: tuple[float, ...]
    miss_costs: tuple[float, ...]
    compare: str | None
    plots: bool
    overwrite: bool
    quiet: bool


class AllRunOptions(RunOptions, MeasureOptions):
    """All options of `run` but ``max_feature_images``."""


report_options = options.stack(
    options.sectioned_option(
        "--out",
        section="Output",
        type=OutputPath(file_okay=False, path_type=Path),
        required=True,
        help="Folder for the results. It is created if needed.",
    ),
    options.sectioned_option(
        "--threshold",
        section="Metrics",
        type=Number(0, 1, min_open=True, max_open=True),
        default=0.5,
        show_default=True,
        help="Count images with a score above it as synthetic.",
    ),
    options.sectioned_option(
        "--fpr",
        section="Metrics",
        type=Number(0, 1),
        default=0.05,
        show_default=True,
        help="False-positive rate at which the true-positive rate is measured.",
    ),
    options.sectioned_option(
        "--bootstrap",
        "resamples",
        section="Metrics",
        type=WholeNumber(min=0),
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
        "--prevalence",
        "prevalences",
        section="Metrics",
        type=Number(0, 1, min_open=True, max_open=True),
        multiple=True,
        default=(0.01, 0.1, 0.5),
        show_default="0.01, 0.1, 0.5",
        help="Share of synthetic images among those that you look through, for the cost. Repeatable.",
    ),
    options.sectioned_option(
        "--miss-cost",
        "miss_costs",
        section="Metrics",
        type=Number(0, min_open=True),
        multiple=True,
        default=(1.0, 10.0, 100.0),
        show_default="1, 10, 100",
        help="What a missed synthetic image costs, in needless looks at real ones. Repeatable.",
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


run_options = options.stack(
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
        "--degrade",
        section="Input",
        multiple=True,
        is_flag=False,
        flag_value="all",
        metavar="[KIND,...]",
        help="Measure all images again at several strengths: jpeg, resize, blur, noise, shared (uploaded to "
        "a service); without KIND all of them, or one strength, e.g. jpeg-85. Repeatable.",
    ),
    options.sectioned_option(
        "--speed",
        section="Metrics",
        type=WholeNumber(min=1),
        is_flag=False,
        flag_value=32,
        metavar="[N]",
        help="Measure time and memory of each detector alone, on N images; without N, on 32.",
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


def metrics_config(choices: MeasureOptions, scored_in: Path | None = None) -> MetricsConfig:
    """How metrics are computed.

    Args:
        scored_in: the folder of an evaluation, whose prevalences and costs hold where the command line and
            the settings name none.
    """
    from sidscan.training.evaluation.costs import kept_costs
    from sidscan.training.evaluation.results import MetricsConfig

    source = click.get_current_context().get_parameter_source
    unnamed = [name for name in _COSTS if source(name) is ParameterSource.DEFAULT]
    costs = kept_costs(scored_in, unnamed) if scored_in else {}
    if costs:
        named = "; ".join(
            f"{_COSTS[name]} {', '.join(f'{one:g}' for one in values)}" for name, values in costs.items()
        )
        console.reporter(choices["quiet"])(f"costs: {named}, as in {scored_in}")
    return MetricsConfig(
        threshold=choices["threshold"],
        fpr=choices["fpr"],
        resamples=choices["resamples"],
        seed=choices["seed"],
        **{"prevalences": choices["prevalences"], "miss_costs": choices["miss_costs"], **costs},
    )


def find_test_sets(choices: AllRunOptions) -> tuple[TestSetCollection, list[Path]]:
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
        _check_optional_values(choices)
        raise UsageError(
            "no test images are named", "Name TESTS, a file with --manifest, or both --real and --synthetic."
        )
    named = data_options.data_set(tests, choices["manifest"], choices["layout"], choices["sets"])
    keys = testsets.parse_set_keys(named.sets)
    return testsets.find_test_sets(named.data, named.layout, keys, choices["part"]), [named.data]


def _check_optional_values(choices: AllRunOptions) -> None:
    """Refuse test images that an option with an optional value took for its own.

    Raises:
        UsageError: the value of one is a file or folder.
    """
    for flag, values in (("--degrade", choices["degrade"]), ("--compare", (choices["compare"],))):
        for value in values:
            if value and Path(value).exists():
                raise UsageError(
                    f"no test images are named: {flag} took {value} for its own value",
                    f"Name TESTS before {flag}.",
                )
