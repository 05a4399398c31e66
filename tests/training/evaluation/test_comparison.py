"""`sidscan evaluate report` on several detectors and generators: tables, tests, LaTeX and plots."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Two detectors on 40 images of a set with two generators; the second has no idea of one of them."""
    rng = np.random.default_rng(0)
    lines = ["set,path,generator,label,model,score"]
    for number in range(40):
        label = "synthetic" if number % 2 else "real"
        generator = "" if label == "real" else ("SD", "FLUX_1")[number // 2 % 2]
        good = rng.uniform(0.6, 1) if label == "synthetic" else rng.uniform(0, 0.4)
        blind = rng.uniform(0, 0.4) if generator == "FLUX_1" else good
        lines += [
            f"web,{number}.png,{generator},{label},{name},{s:.4f}"
            for name, s in (("one", good), ("two_b", blind))
        ]
    (tmp_path / "s.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "s.csv"


def test_detectors_are_compared_on_the_same_images(sidscan: Run, scores: Path, tmp_path: Path) -> None:
    ended = sidscan("evaluate", "report", scores, "--out", tmp_path / "out", "--bootstrap", "0")
    assert ended.code == 0, ended.err
    assert "| detector | found | only it finds | only it misses | flagged | only it flags |" in ended.out
    assert "| one | 20 | 10 | 0 | 0 | 0 |\n| two_b | 10 | 0 | 10 | 0 | 0 |" in ended.out
    (test,) = rows(tmp_path / "out/differences.csv")
    assert [test[name] for name in ("first", "second")] == ["one", "two_b"]
    assert test["n_real"] == test["n_synthetic"] == "20"
    assert float(test["difference"]) > 0.1
    assert float(test["p"]) < 0.01
    assert len(rows(tmp_path / "out/only-one.csv")) == 10
    assert {row["model"] for row in rows(tmp_path / "out/only-one.csv")} == {"one"}
    bins = rows(tmp_path / "out/reliability.csv")
    assert sum(int(row["images"]) for row in bins if row["model"] == "one") == 40
    gaps = [
        int(row["images"]) * abs(float(row["score"]) - float(row["synthetic"]))
        for row in bins
        if row["model"] == "one"
    ]
    stated = float(rows(tmp_path / "out/results.csv")[0]["ece"])
    assert stated == pytest.approx(sum(gaps) / 40, abs=1e-5)
    figures = {
        (row["model"], row["generator"]): float(row["auroc"]) for row in rows(tmp_path / "out/generators.csv")
    }
    assert figures["one", "SD"] == figures["one", "FLUX_1"] == figures["two_b", "SD"] == 1
    assert figures["two_b", "FLUX_1"] < 0.9
    latex = (tmp_path / "out/results.tex").read_text(encoding="utf-8")
    assert latex.count(r"\begin{tabular}{lr}") == latex.count(r"\end{tabular}") == 2
    assert "\ntwo\\_b & 75.0 \\\\\n" in latex
    costs = rows(tmp_path / "out/costs.csv")
    assert [row["set"] for row in costs if row["model"] == "one"] == ["web"] * 9 + ["mean"] * 9
    assert "| 1 % | 100 | 1,000 | 990 | 0; 0 at " in ended.out
    assert len(rows(tmp_path / "out/cost-curves.csv")) == 2 * 2 * 51
    for name in ("reliability", "generators", "costs"):
        assert (tmp_path / f"out/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (tmp_path / f"out/{name}.svg").read_text(encoding="utf-8")


def test_one_detector_alone_is_compared_with_none(sidscan: Run, scores: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    plain = ("--out", out, "--bootstrap", "0", "--no-plots")
    assert sidscan("evaluate", "report", scores, *plain).code == 0
    lines = scores.read_text(encoding="utf-8").splitlines()
    scores.write_text("\n".join(line for line in lines if ",two_b," not in line), encoding="utf-8")
    ended = sidscan("evaluate", "report", scores, *plain)
    assert (ended.code, "Agreement" in ended.out) == (0, False)
    assert not (out / "agreement.csv").exists()
