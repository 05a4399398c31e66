"""``sidscan cite``."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from sidscan.cli.help_sections import Command
from sidscan.errors import ExitCode, UsageError
from sidscan.libraries import require
from sidscan.util.files import open_file

if TYPE_CHECKING:
    from sidscan.util.bibtex import Citation

_SCORES_FILE, _SETTINGS_FILE = "scores.csv", "evaluation.json"
_CHECKPOINTS = (".safetensors", ".pth", ".pt")
_OWN_DATA = {"manifest": "a list of your own", "pair": "two folders of your own"}


class _Used(NamedTuple):
    """What is cited.

    Attributes:
        papers: by what is used.
        without: what is used and has no paper here, each with what to do.
    """

    papers: dict[str, tuple[Citation, ...]]
    without: dict[str, str]


@click.command("cite", cls=Command)
@click.argument("names", nargs=-1, metavar="[REPORT|FOLDER|MODEL|DATASET]...")
def command(names: tuple[str, ...]) -> ExitCode:
    """Print BibTeX of the models and data sets that a report or an evaluation used.

    REPORT is a report of `sidscan scan` or its record; FOLDER is the --out of `sidscan evaluate`; MODEL is a
    name of the catalog or a checkpoint; DATASET is a layout, e.g. synthbuster. Encoders of models, localizers
    of maps and sidscan itself are cited, too. What has no known publication is named in a comment.

    \b
    Examples:
      sidscan cite report.csv > used.bib
      sidscan cite results rine-4class synthbuster

    \b
    Exit codes:
      0  done                          4  a checkpoint can't be read
      2  unknown name or file          130  interrupted
    """
    from sidscan.models.citations import SOFTWARE  # here: `--help` needs none of it
    from sidscan.util.bibtex import bibliography

    used = _Used({}, {})
    for name in names:
        _add(name, used)
    # A checkpoint that is named itself says what a report could not say of it.
    notes = tuple(f"{what}: {why}" for what, why in used.without.items() if what not in used.papers)
    click.echo(bibliography({**used.papers, "sidscan": (SOFTWARE,)}, notes), nl=False)
    return ExitCode.DONE


def _add(name: str, used: _Used) -> None:
    from sidscan.models.catalog import CATALOG
    from sidscan.training.datasets.layouts import all_layouts

    path = Path(name)
    if name in CATALOG:
        _add_models([name], used)
    elif path.is_dir():
        _add_evaluation(path, used)
    elif path.is_file():
        _add_file(path, used)
    elif name in all_layouts():
        _add_layout(name, used)
    else:
        near = get_close_matches(name, [*CATALOG, *all_layouts()], n=1)
        suggestion = f"Did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"{name} is not a file, folder, model or layout",
            f"{suggestion}`sidscan models list` lists models, `sidscan dataset --help` layouts.",
        )


def _add_models(names: Iterable[str], used: _Used) -> None:
    from sidscan.models.catalog import CATALOG
    from sidscan.models.citations import papers_of_model

    for name in names:
        papers = papers_of_model(name)
        if papers:
            used.papers[name] = papers
        else:
            used.without[name] = (
                "its package names no paper; cite who made it"
                if name in CATALOG
                else "not in the catalog; name its checkpoint, or cite who made it"
            )


def _add_file(path: Path, used: _Used) -> None:
    if path.suffix.lower() in _CHECKPOINTS:
        _add_checkpoint(path, used)
        return
    try:
        with open_file(path) as file:
            is_scores = file.read(4) == b"set,"
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror or error}", "Check its permissions."
        ) from error
    if is_scores:
        _add_models(_models_of_scores(path), used)
        return
    from sidscan.review.compared_runs import open_compared

    with open_compared(path) as run:
        for _ in run:
            pass
    _add_models(dict.fromkeys((*(model.name for model in run.models), *run.localizers)), used)


def _add_checkpoint(path: Path, used: _Used) -> None:
    require("a checkpoint", "torch")
    from sidscan.models.citations import papers_of_head, papers_of_model

    kind, encoders = _read_checkpoint(path)
    papers = papers_of_head(kind, encoders)
    if papers:
        used.papers[path.name] = papers
    else:
        used.without[path.name] = "its kind of head has no paper"
    for encoder in encoders:
        if not papers_of_model(encoder):
            used.without[f"{path.name}'s encoder {encoder}"] = "not in the catalog; cite who made it"


def _read_checkpoint(path: Path) -> tuple[str, tuple[str, ...]]:
    """The family of a head or a localizer, and the encoders that it reads."""
    from sidscan.models.checkpoints import read_checkpoint
    from sidscan.models.localizer_checkpoints import read_localizer_checkpoint, states_localizer

    if states_localizer(path):
        localizer, _ = read_localizer_checkpoint(path)
        return localizer.family, tuple(localizer.encoders)
    checkpoint, _ = read_checkpoint(path)
    return checkpoint.head or "mini", (checkpoint.encoder,) if checkpoint.encoder else ()


def _add_evaluation(folder: Path, used: _Used) -> None:
    if not (folder / _SCORES_FILE).is_file():
        raise UsageError(
            f"{folder} holds no scores.csv",
            "Name the --out of `sidscan evaluate run`, or a report of a scan.",
        )
    _add_models(_models_of_scores(folder / _SCORES_FILE), used)
    try:
        layout = json.loads((folder / _SETTINGS_FILE).read_text(encoding="utf-8")).get("layout")
    except (OSError, ValueError, AttributeError):
        layout = None
    if isinstance(layout, str) and layout:
        _add_layout(layout, used)


def _models_of_scores(path: Path) -> list[str]:
    """The models that a file of scores names, each once.

    Raises:
        UsageError: it can't be read as CSV.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(dict.fromkeys(filter(None, (row.get("model") for row in csv.DictReader(file)))))
    except (OSError, ValueError, csv.Error) as error:  # ValueError: bytes that are not UTF-8
        raise UsageError(
            f"{path} can't be read as a file of scores: {error}", "Name one that `sidscan evaluate` wrote."
        ) from error


def _add_layout(name: str, used: _Used) -> None:
    from sidscan.training.datasets.layouts import all_layouts

    layout = all_layouts().get(name)
    if layout is not None and layout.papers:
        used.papers[name] = layout.papers
    elif layout is not None and layout.source:
        used.without[name] = f"several data sets lie so ({layout.source}); cite yours"
    else:
        used.without[name] = f"{_OWN_DATA.get(name, 'data without a known paper')}; cite where it comes from"
