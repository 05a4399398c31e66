"""Metrics computed from a report alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sidscan.training.common.metrics import detection_metrics
from sidscan.training.mini import audit
from sidscan.training.windows.corpus import FOLDS

FIRST, SECOND, SHIPPED = ("1" * 16, "2" * 16, "3" * 16)
FITTED_ON = {
    FIRST: frozenset({"c/trained-on"}),
    SECOND: frozenset({"a/held", "b/x__held-out"}),
    SHIPPED: frozenset({"a/held", "b/x__held-out", "c/trained-on"}),
}
ROWS = [  # path, status, score
    ("c/real/camera_original/a__held-0123456789-1.jpg", "scored", 0.1),
    ("c/real/lossless/a__held-0123456789-2.webp", "scored", 0.6),
    ("c/synthetic/flux1/b__x__held-out-0123456789-3.webp", "scored", 0.9),
    ("c/synthetic/sdxl/b__x__held-out-0123456789.jpg", "scored", 0.4),
    ("c/synthetic/sdxl/b__x__held-out-0123456789-4.jpg", "failed", ""),
    ("c/synthetic/sdxl/c__trained-on-0123456789-5.jpg", "scored", 0.0),
    ("elsewhere/photo.jpg", "scored", 0.99),
]


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A report on two held-out repositories, a fitted one, and an image outside the corpora."""
    monkeypatch.setattr(audit, "fitted_on", lambda: FITTED_ON)
    return report_of(tmp_path / "report.csv", FIRST)


def report_of(path: Path, digest: str) -> Path:
    """A report of ROWS, by weights with this digest."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "status", "score", "threshold", "model_digest"])
        writer.writerows([*row, 0.5, digest] for row in ROWS)
    return path


def test_only_held_out_repositories_count(report: Path) -> None:
    result = CliRunner().invoke(audit.audit_command, [str(report), "--json"])
    assert result.exit_code == 0, result.output
    overall = json.loads(result.output)
    assert (overall["real"], overall["synthetic"], overall["auroc"]) == (2, 2, 0.75)
    assert (overall["tpr"], overall["fpr"]) == (0.5, 0.5)


def test_all_repositories_on_request(report: Path) -> None:
    result = CliRunner().invoke(audit.audit_command, [str(report), "--json", "--all"])
    assert json.loads(result.output)["synthetic"] == 3


def test_reports_of_several_folds_are_read_as_one(report: Path, tmp_path: Path) -> None:
    other = report_of(tmp_path / "other.csv", SECOND)
    result = CliRunner().invoke(audit.audit_command, [str(report), str(other), "--json"])
    overall = json.loads(result.output)
    assert (overall["real"], overall["synthetic"], overall["tpr"]) == (2, 3, pytest.approx(1 / 3))


@pytest.mark.parametrize(
    ("digest", "message"), [(SHIPPED, "fitted on all of these"), ("4" * 16, "does not know weights 4444")]
)
def test_weights_without_held_out_repositories_are_refused(
    report: Path, tmp_path: Path, digest: str, message: str
) -> None:
    other = report_of(tmp_path / "other.csv", digest)
    result = CliRunner().invoke(audit.audit_command, [str(other)])
    assert result.exit_code == 2
    assert message in result.output
    assert CliRunner().invoke(audit.audit_command, [str(other), "--all"]).exit_code == 0


def test_the_card_says_what_the_weights_were_fitted_on() -> None:
    by_digest = audit.fitted_on()
    assert len(by_digest) == FOLDS + 1
    all_repos = max(by_digest.values(), key=len)
    held_out = [all_repos - repos for repos in by_digest.values()]
    assert sorted(len(repos) > 0 for repos in held_out) == [False] + [True] * FOLDS
    assert frozenset.union(*held_out) == all_repos


def test_categories_are_listed(report: Path) -> None:
    result = CliRunner().invoke(audit.audit_command, [str(report)])
    assert "2 repositories: 2 real, 2 synthetic" in result.output
    assert "AUROC 0.750" in result.output
    for category in ("flux1", "sdxl", "camera_original", "lossless"):
        assert category in result.output


def test_a_report_of_something_else_is_refused(report: Path) -> None:
    report.write_text("path,status,score,threshold,model_digest\nphoto.jpg,scored,0.5,0.5,1\n")
    result = CliRunner().invoke(audit.audit_command, [str(report)])
    assert result.exit_code == 2
    assert "no path is of the form" in result.output


def test_metrics_of_perfect_and_useless_scores() -> None:
    low, high = np.linspace(0.0, 0.4, 100), np.linspace(0.6, 1.0, 100)
    perfect = detection_metrics(high, low, threshold=0.5)
    assert (perfect.auroc, perfect.tpr_at_5, perfect.tpr, perfect.fpr) == (1.0, 1.0, 1.0, 0.0)
    assert detection_metrics(low, low, threshold=0.5).auroc == 0.5
