"""How well the bundled detector did on a labelled corpus, from the CSV reports of scans alone.

    sidscan scan CORPUS --out report.csv
    python -m sidscan.training.mini.audit report.csv

The corpus's layout says the rest: ``real/<kind>/`` or ``synthetic/<generator>/`` is the label, and a file is
called ``<owner>__<repository>-<10 hex digits>[-<number>].<suffix>``. Every row's ``model_digest`` tells which
repositories its weights were fitted on, as the model card lists them; rows of those are left out, unless
``--all`` is given. Several reports are read as one: five folds, each scanned with its own weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd

from sidscan.models.catalog import Bundled, find_entry
from sidscan.models.refs import BUNDLED_MODEL
from sidscan.training.common.metrics import DetectionMetrics, detection_metrics

_DIGITS = 16  # of a sha256, in reports
_PATH = r"(?P<label>real|synthetic)/(?P<source>[^/]+)/(?P<repo>.+?)-[0-9a-f]{10}(?:-\d+)?\.\w+$"


def fitted_on() -> dict[str, frozenset[str]]:
    """Digest of weights as reports state it -> repositories (``owner/name``) that had a part in them."""
    origin = find_entry(BUNDLED_MODEL).origin
    assert isinstance(origin, Bundled)
    card = origin.facts()
    every = frozenset(repo for fold in card["folds"] for repo in fold["repositories"])
    seen = {fold["sha256"][:_DIGITS]: every - set(fold["repositories"]) for fold in card["folds"]}
    return seen | {card["sha256"][:_DIGITS]: every}


def labelled(report: Path) -> pd.DataFrame:
    """Scored rows of a report with the label, source and repository that their paths state.

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


def unseen(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose repository had no part in the weights that scored them.

    Raises:
        click.UsageError: the card does not know some of the weights, or no row is left.
    """
    seen = fitted_on()
    if unknown := set(rows["model_digest"]) - set(seen):
        raise click.UsageError(
            f"the model card does not know weights {', '.join(sorted(unknown))}, so not what they were "
            "fitted on; --all takes all rows"
        )
    fresh = [repo not in seen[made] for repo, made in zip(rows["repo"], rows["model_digest"], strict=True)]
    if not any(fresh):
        raise click.UsageError(
            "these weights were fitted on all of these repositories; scan each fold with its own, or --all"
        )
    held_out: pd.DataFrame = rows[fresh]
    return held_out


def overall(rows: pd.DataFrame) -> DetectionMetrics:
    """Figures over all rows."""
    return _figures(rows[rows["label"] == "synthetic"], rows[rows["label"] == "real"])


def by_source(rows: pd.DataFrame) -> pd.DataFrame:
    """Per generator: figures against all real rows; per kind of real picture: the false-positive rate."""
    real, synthetic = rows[rows["label"] == "real"], rows[rows["label"] == "synthetic"]
    generators = [
        {"source": name, **_figures(group, real).as_dict()} for name, group in synthetic.groupby("source")
    ]
    kinds = [
        {"source": name, "real": len(group), "fpr": (group["score"] >= group["threshold"]).mean()}
        for name, group in real.groupby("source")
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
@click.option("--all", "everything", is_flag=True, help="Training repositories too; such figures flatter.")
@click.option("--json", "as_json", is_flag=True, help="The overall figures as JSON.")
def main(reports: Sequence[Path], everything: bool, as_json: bool) -> None:
    """Print the figures."""
    rows = pd.concat([labelled(report) for report in reports])
    rows = rows if everything else unseen(rows)
    found = overall(rows)
    if as_json:
        click.echo(json.dumps(found.as_dict()))
        return
    click.echo(f"{rows['repo'].nunique()} repositories: {found.real} real, {found.synthetic} synthetic")
    click.echo(f"AUROC {found.auroc:.3f}, TPR at 5 % FPR {found.tpr_at_5:.3f}")
    click.echo(f"at the shipped threshold: TPR {found.tpr:.3f}, FPR {found.fpr:.3f}")
    click.echo(by_source(rows).to_string(index=False, na_rep="-", float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
