"""`sidscan evaluate run --degrade`: the same images at several strengths."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sample_images import encoded, photo

from sidscan.training.common.degradations import Degradation, curve, parse_degradation
from sidscan.training.evaluation.degraded import Curves, Point, parse_degradations
from sidscan.training.evaluation.degraded_tables import strength_axis
from sidscan.training.evaluation.results import SetMetrics
from sidscan.training.evaluation.scores import ScoreFile, ScoreRow

Run = Callable[..., Any]
DEGRADE = ("--degrade", "noise-10,jpeg-50,shared-200-75-2")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets that share their real images."""
    root = tmp_path_factory.mktemp("degraded")
    lines = ["path,label,set"]
    for number in range(6):
        (root / f"{number}.png").write_bytes(encoded(photo(250, 230, number), "PNG"))
        lines.append(f"{number}.png," + ("real," if number < 2 else f"synthetic,{'ab'[number % 2]}"))
    (root / "m.csv").write_text("\n".join(lines), encoding="utf-8")
    return root / "m.csv"


@pytest.fixture(scope="module")
def done(manifest: Path) -> Path:
    return manifest.parent / "out"


def arguments(manifest: Path, *more: object) -> tuple[object, ...]:
    return ("evaluate", "run", "--manifest", manifest, "--model", "mini", "--bootstrap", "0", *more)


def test_each_strength_is_scored_as_an_image_saved_so_would_be(
    sidscan: Run, manifest: Path, done: Path, tmp_path: Path
) -> None:
    ended = sidscan(*arguments(manifest, *DEGRADE, "--out", done, "--project", "0"))
    assert ended.code == 0, ended.err
    assert "noise-10: 8 rows of 6 images\n" in ended.err
    assert "| detector | metric | none | 200-75-2 |" in ended.out
    table = rows(done / "degradation.csv")
    assert [(row["kind"], row["strength"], row["set"]) for row in table] == [
        (kind, strength, one_set)
        for kind, strength in (("none", ""), ("jpeg", "50"), ("noise", "10"), ("shared", "200-75-2"))
        for one_set in ("a", "b", "mean")
    ]
    assert [row["ap"] for row in table[:3]] == [row["ap"] for row in rows(done / "results.csv")]
    assert len(json.loads((done / "degradation.json").read_text(encoding="utf-8"))) == len(table)
    latex = (done / "degradation.tex").read_text(encoding="utf-8")
    assert latex.count(r"\begin{tabular}{llrr}") == latex.count(r"\end{tabular}") == 3
    assert (done / "degradation.png").read_bytes().startswith(b"\x89PNG")

    with Image.open(manifest.parent / "0.png") as image:
        image.convert("RGB").save(tmp_path / "0.jpg", quality=50)
    (tmp_path / "1.png").write_bytes((manifest.parent / "1.png").read_bytes())
    (tmp_path / "m.csv").write_text("path,label\n0.jpg,real\n1.png,synthetic", encoding="utf-8")
    assert sidscan(*arguments(tmp_path / "m.csv", "--out", tmp_path / "o", "--no-plots")).code == 0
    (real, _), degraded = rows(tmp_path / "o/scores.csv"), rows(done / "degraded/jpeg-50/scores.csv")
    assert float(real["logit"]) == pytest.approx(float(degraded[0]["logit"]), abs=1e-5)


def test_a_curve_continues_and_lacks_what_is_not_finished(
    sidscan: Run, manifest: Path, done: Path, tmp_path: Path
) -> None:
    assert sidscan(*arguments(manifest, *DEGRADE, "--out", done, "--no-plots")).code == 0
    scores = done / "degraded/jpeg-50/scores.csv"
    whole = scores.read_bytes()
    scores.write_bytes(b"".join(whole.splitlines(keepends=True)[:-2]))
    plain = ("--bootstrap", "0", "--no-plots", "--out", tmp_path / "again")
    ended = sidscan("evaluate", "report", done / "scores.csv", *plain)
    assert ended.code == 0, ended.err
    assert "Left out: jpeg-50: 2 of 8 scores are missing." in ended.out
    scores.write_bytes(whole.splitlines(keepends=True)[0])
    none = sidscan("evaluate", "report", done / "scores.csv", *plain)
    assert "Left out: jpeg-50: 8 of 8 scores are missing." in none.out, none.err
    scores.write_bytes(b"".join(whole.splitlines(keepends=True)[:-2]))
    ended = sidscan(*arguments(manifest, "--degrade", "jpeg-50", "--out", done, "--no-plots"))
    kept = f"unchanged: 8 rows of 6 images, all kept from an earlier run: {done / 'scores.csv'}"
    assert ended.err.splitlines()[3:-1] == [
        f"{kept} (--fresh starts over)",
        "jpeg-50: 8 rows of 6 images, 6 kept from an earlier run and 2 left",
    ]
    assert scores.read_bytes().splitlines()[:7] == whole.splitlines()[:7]
    assert "| mini | AP |" in ended.out.split("### JPEG quality")[1]
    again = sidscan("evaluate", "report", done / "scores.csv", *plain)
    assert "Left out" not in again.out
    assert (tmp_path / "again/degradation.csv").read_bytes() == (done / "degradation.csv").read_bytes()


def test_an_interruption_names_the_strength(
    sidscan: Run, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = ScoreFile.append

    def interrupted(self: ScoreFile, rows: Iterable[ScoreRow]) -> None:
        append(self, rows)
        if self.path.parent.name == "jpeg-50":
            raise KeyboardInterrupt

    monkeypatch.setattr(ScoreFile, "append", interrupted)
    ended = sidscan(*arguments(manifest, "--degrade", "jpeg-50", "--out", tmp_path, "--no-plots"))
    assert ended.code == 130
    path = tmp_path / "degraded/jpeg-50/scores.csv"
    assert "\njpeg-50: 8 rows of 6 images\n" in ended.err
    assert f"interrupted in jpeg-50 after 0 of 8 rows of 6 images, kept in {path}; the same" in ended.err


def test_curves_and_single_strengths_can_be_named() -> None:
    assert parse_degradations(["jpeg-85, blur", "blur-2"]) == [parse_degradation("jpeg-85"), *curve("blur")]
    assert len(parse_degradations(["all"])) == 27


@pytest.mark.parametrize(
    ("names", "positions", "labels"),
    [
        pytest.param("resize-2,resize-0.25,resize-0.5", (2, 1, 0.5, 0.25), "2 1 0.5 0.25", id="factor"),
        pytest.param("noise-20,noise-5", (0, 5, 20), "0 5 20", id="sigma"),
        pytest.param(
            "blur-0.5,blur-0.6,blur-18", (0, 0.5, 0.6, 18), "0 - - 18", id="labels that would touch"
        ),
        pytest.param("jpeg-90,jpeg-30", (108.4, 90, 30), "none 90 30", id="no quality means unchanged"),
        pytest.param("jpeg-99", (101.2, 99), "none 99", id="one quality"),
        pytest.param(
            "shared-2048-85-1,shared-99-75-2", (0, 1, 2), "none 2048/q85/1x 99/q75/2x", id="equal steps"
        ),
    ],
)
def test_an_axis_is_true_to_the_strength(names: str, positions: tuple[float, ...], labels: str) -> None:
    strengths = parse_degradations([names])
    nothing = SetMetrics("mean", 0, 0, 0, "", 0, {}, {}, {})
    curves = Curves(tuple(Point("mini", each, (), nothing) for each in (Degradation(), *strengths)))
    (kind,) = curves.kinds
    axis = strength_axis(kind, curves.strengths(kind))
    assert axis.positions == pytest.approx(positions)
    assert " ".join(label.replace("\n", "/") or "-" for label in axis.labels) == labels
    assert axis.apart == (kind == "jpeg")
