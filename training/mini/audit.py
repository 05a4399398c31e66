"""How well the bundled detector did on a labelled corpus, from the CSV reports of scans alone.

    sidscan scan CORPUS --out report.csv
    python -m sidscan.training.mini.audit report.csv

The layout of the corpus says the rest. ``real/<kind>/`` or ``synthetic/<generator>/`` is the label, and a
file is called ``<owner>__<repository>-<10 hex digits>[-<number>].<suffix>``. The ``model_digest`` of a row
says which weights scored it, and the model card lists the repositories that these were fitted on. Rows of
those repositories are left out, unless ``--all`` is given. Several reports are read as one: five folds,
each scanned with its own weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd

from sidscan.models.catalog import find_entry
from sidscan.models.origins import Bundled
from sidscan.models.refs import BUNDLED_MODEL
from sidscan.training.common.metrics import DetectionMetrics, detection_metrics

DIGEST_LENGTH = 16  # hex digits of a sha256 in reports
_PATH = r"(?P<label>real|synthetic)/(?P<category>[^/]+)/(?P<repo>.+?)-[0-9a-f]{10}(?:-\d+)?\.\w+$"


def bundled_weights() -> Bundled:
    """The weights that come with sidscan."""
    origin = find_entry(BUNDLED_MODEL).origin
    assert isinstance(origin, Bundled)
    return origin


def fitted_on() -> dict[str, frozenset[str]]:
    """Digest of weights as in reports -> repositories (``owner/name``) that they were fitted on."""
    card = bundled_weights().facts()
    all_repos = frozenset(repo for fold in card["folds"] for repo in fold["repositories"])
    by_digest = {
        fold["sha256"][:DIGEST_LENGTH]: all_repos - set(fold["repositories"]) for fold in card["folds"]
    }
    return by_digest | {card["sha256"][:DIGEST_LENGTH]: all_repos}


def read_labelled(report: Path) -> pd.DataFrame:
    """Scored rows of a report, with the label, category and repository that their paths state.

    Raises:
        click.UsageError: no row lies in a labelled corpus.
    """
    columns = ["path", "status", "score", "threshold", "model_digest"]
    rows = pd.read_csv(report, usecols=columns, dtype={"model_digest": str})
    rows = rows.join(rows["path"].str.extract(_PATH)).dropna(subset=["label"])
    if rows.empty:
        raise click.UsageError(f"{report}: no path is of the form real/... or synthetic/...")
    rows["repo"] = rows["repo"].str.replace("__", "/", n=1)
    scored: pd.DataFrame = rows[rows["status"] == "scored"]
    return scored


def held_out_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose weights were not fitted on their repository.

    Raises:
        click.UsageError: the card does not know some of the weights, or no row is left.
    """
    by_digest = fitted_on()
    if unknown := set(rows["model_digest"]) - set(by_digest):
        raise click.UsageError(
            f"the model card does not know weights {', '.join(sorted(unknown))}, so not what they were "
            "fitted on; --all takes all rows"
        )
    held_out = [
        repo not in by_digest[digest] for repo, digest in zip(rows["repo"], rows["model_digest"], strict=True)
    ]
    if not any(held_out):
        raise click.UsageError(
            "these weights were fitted on all of these repositories; scan each fold with its own, or --all"
        )
    remaining: pd.DataFrame = rows[held_out]
    return remaining


def overall_figures(rows: pd.DataFrame) -> DetectionMetrics:
    """Metrics over all rows."""
    return _figures(rows[rows["label"] == "synthetic"], rows[rows["label"] == "real"])


def figures_by_category(rows: pd.DataFrame) -> pd.DataFrame:
    """Per generator: figures against all real rows. Per kind of real image: the false-positive rate."""
    real, synthetic = rows[rows["label"] == "real"], rows[rows["label"] == "synthetic"]
    generators = [
        {"category": name, **_figures(group, real).as_dict()} for name, group in synthetic.groupby("category")
    ]
    kinds = [
        {"category": name, "real": len(group), "fpr": (group["score"] >= group["threshold"]).mean()}
        for name, group in real.groupby("category")
    ]
    table: pd.DataFrame = pd.DataFrame([*generators, *kinds])
    return table


def _figures(synthetic: pd.DataFrame, real: pd.DataFrame) -> DetectionMetrics:
    (threshold,) = pd.concat([synthetic, real])["threshold"].unique()
    return detection_metrics(synthetic["score"].to_numpy(), real["score"].to_numpy(), float(threshold))


@click.command(help=__doc__)
@click.argument(
    "reports", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True
)
@click.option(
    "--all",
    "all_rows",
    is_flag=True,
    help="Include repositories that the weights were fitted on; this flatters.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the overall figures as JSON.")
def audit_command(reports: Sequence[Path], all_rows: bool, as_json: bool) -> None:
    """Print the figures."""
    rows = pd.concat([read_labelled(report) for report in reports])
    rows = rows if all_rows else held_out_rows(rows)
    overall = overall_figures(rows)
    if as_json:
        click.echo(json.dumps(overall.as_dict()))
        return
    click.echo(f"{rows['repo'].nunique()} repositories: {overall.real} real, {overall.synthetic} synthetic")
    click.echo(f"AUROC {overall.auroc:.3f}, TPR at 5 % FPR {overall.tpr_at_5:.3f}")
    click.echo(f"at the shipped threshold: TPR {overall.tpr:.3f}, FPR {overall.fpr:.3f}")
    by_category = figures_by_category(rows)
    click.echo(by_category.to_string(index=False, na_rep="-", float_format="{:.3f}".format))


if __name__ == "__main__":
    audit_command()
