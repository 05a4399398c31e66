"""Tables and plots of an evaluation: those that somebody edited are left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder

from sidscan.models.catalog import CATALOG
from sidscan.training.evaluation import plots
from sidscan.training.evaluation.results import MetricsConfig, compute_model_metrics
from sidscan.training.evaluation.scores import read_scores

Run = Callable[..., Any]
SCORES = "set,label,score\n" + "".join(
    f"a,{label},{score}\n"
    for label, score in (("real", 0.1), ("real", 0.4), ("synthetic", 0.3), ("synthetic", 0.9))
)


@pytest.fixture
def report(sidscan: Run, tmp_path: Path) -> tuple[str | Path, ...]:
    """The command of a report that was written once."""
    (tmp_path / "scores.csv").write_text(SCORES)
    command = ("evaluate", "report", tmp_path / "scores.csv", "--out", tmp_path / "out", "--bootstrap", "0")
    assert sidscan(*command, "--no-plots").code == 0
    return (*command, "--no-plots")


@pytest.mark.parametrize("name", ["results.md", "results.csv"])
def test_an_edited_table_is_left_alone(
    sidscan: Run, tmp_path: Path, report: tuple[str | Path, ...], name: str
) -> None:
    assert sidscan(*report).code == 0, "its own tables are replaced"
    table = tmp_path / "out" / name
    table.write_text(table.read_text() + "my note\n")
    refused = sidscan(*report)
    assert refused.code == 7
    assert refused.err == (
        f"sidscan: {table} was changed after sidscan wrote it, or is not its file; it is left alone\n"
        "Rename it to keep it; or choose another --out, or replace it with --overwrite.\n"
    )
    assert table.read_text().endswith("my note\n")
    assert sidscan(*report, "--overwrite").code == 0
    assert not table.read_text().endswith("my note\n")
    assert sidscan(*report).code == 0


def test_a_file_that_something_else_wrote_is_left_alone(
    sidscan: Run, tmp_path: Path, report: tuple[str | Path, ...]
) -> None:
    (tmp_path / "out" / ".sidscan-written.json").unlink()
    assert sidscan(*report).code == 7


def test_few_images_have_no_interval_and_one_sided_scores_are_named(sidscan: Run, tmp_path: Path) -> None:
    lines = ["set,label,score"]
    lines += [f"few,real,{score}" for score in (0.1, 0.2)]
    lines += [f"few,synthetic,{0.3 + score / 100}" for score in range(6)]
    lines += [f"more,real,{score / 10}" for score in range(7)]
    lines += [f"more,synthetic,{0.4 + score / 20}" for score in range(5)]
    (tmp_path / "scores.csv").write_text("\n".join(lines) + "\n")
    command = ("evaluate", "report", tmp_path / "scores.csv", "--out", tmp_path / "out", "--bootstrap", "20")
    ended = sidscan(*command, "--no-plots")
    assert "- **model: all scores lie on one side of the threshold 0.5, in few.**\n" in ended.out
    assert "| few | other | 2 | 6 | 0 | 25.0 | 100.0 | 100.0 | 100.0 | 0.0 |" in ended.out
    rows = {line.split(" | ")[0]: line for line in ended.out.splitlines() if " | " in line}
    assert "(" in rows["| more"]
    assert "(" not in rows["| AVG"]
    assert "A set with fewer than 5 images of a label has no interval" in ended.out


def test_a_plot_says_how_few_images_a_figure_rests_on(tmp_path: Path) -> None:
    lines = ["set,label,generator,score"]
    lines += [f"art,real,,{score / 20}" for score in range(10)]
    lines += [f"art,synthetic,few,{0.3 + score / 10}" for score in range(2)]
    lines += [f"art,synthetic,more,{0.3 + score / 20}" for score in range(10)]
    (tmp_path / "scores.csv").write_text("\n".join(lines) + "\n")
    models = compute_model_metrics(read_scores(tmp_path / "scores.csv"), MetricsConfig(resamples=0))
    plots.plot_generators(tmp_path / "generators", models)
    plot = (tmp_path / "generators.svg").read_text()
    assert "<!-- art: few (n: 2 synthetic) -->" in plot
    assert "<!-- art: more -->" in plot


def test_figures_are_legible_on_every_colour_of_a_heat_map() -> None:
    green, yellow, red = (0.0, 0.408, 0.216), (0.998, 0.999, 0.746), (0.647, 0.0, 0.149)
    assert [plots.text_colour(each) for each in (green, yellow, red)] == ["white", "black", "white"]


def test_a_report_of_a_scan_says_what_a_model_of_whole_images_reads(sidscan: Run, tmp_path: Path) -> None:
    folder(tmp_path / "images", count=2)
    names = [path.relative_to(tmp_path) for path in sorted((tmp_path / "images").rglob("*.*"))][:2]
    lines = ["path,label", *(f"{name},{number}" for number, name in enumerate(names))]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    report = tmp_path / "report.csv"
    sidscan("scan", tmp_path / "images", "-m", "mini", "-o", report)
    report.write_text(report.read_text().replace(",mini,", ",npr,"))  # npr's weights are not here
    command = ("evaluate", "report", report, "--manifest", tmp_path / "list.csv", "--out", tmp_path / "out")
    ended = sidscan(*command, "--no-plots")
    assert f"- npr: {CATALOG['npr'].view}; digest " in ended.out, ended.err
    assert "ten crops" not in ended.out
