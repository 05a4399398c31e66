"""How well a detector did on a labelled corpus, from the CSV report of its scan alone.

    sidscan scan CORPUS --out report.csv
    python -m sidscan.training.audit report.csv

The corpus's layout says the rest: ``real/<kind>/`` or ``synthetic/<generator>/`` is the label, and a file is
called ``<owner>__<repository>-<10 hex digits>[-<number>].<suffix>``. Only repositories that the model card
names as held out are looked at, unless ``--all`` is given.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import pandas as pd

from sidscan.models.catalog import MINI, Bundled, find

from .metrics import Figures, figures

_PATH = r"(?P<label>real|synthetic)/(?P<source>[^/]+)/(?P<repo>.+?)-[0-9a-f]{10}(?:-\d+)?\.\w+$"


def held_out_repositories() -> frozenset[str]:
    """Repositories the bundled detector was never trained on (``owner/name``), as its card lists them."""
    origin = find(MINI).origin
    assert isinstance(origin, Bundled)
    return frozenset(origin.facts()["split"]["test"])


def labelled(report: Path) -> pd.DataFrame:
    """Scored rows of a report with the label, source and repository that their paths state.

    Raises:
        click.UsageError: no row lies in a labelled corpus.
    """
    rows = pd.read_csv(report, usecols=["path", "status", "score", "threshold"])
    rows = rows.join(rows["path"].str.extract(_PATH)).dropna(subset=["label"])
    if rows.empty:
        raise click.UsageError(f"{report}: no path is of the form real/... or synthetic/...")
    rows["repo"] = rows["repo"].str.replace("__", "/", n=1)
    return rows[rows["status"] == "scored"]


def overall(rows: pd.DataFrame) -> Figures:
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
    return pd.DataFrame([*generators, *kinds])


def _figures(synthetic: pd.DataFrame, real: pd.DataFrame) -> Figures:
    (threshold,) = pd.concat([synthetic, real])["threshold"].unique()
    return figures(synthetic["score"].to_numpy(), real["score"].to_numpy(), float(threshold))


@click.command(help=__doc__)
@click.argument("report", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Training repositories too; such figures flatter.")
@click.option("--json", "as_json", is_flag=True, help="The overall figures as JSON.")
def main(report: Path, everything: bool, as_json: bool) -> None:
    """Print the figures."""
    rows = labelled(report)
    rows = rows if everything else rows[rows["repo"].isin(held_out_repositories())]
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
