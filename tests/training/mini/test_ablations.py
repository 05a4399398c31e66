"""Ablations of the bundled detector, on planted statistics of a few numbers a depth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

import sidscan
from sidscan.models.backbones.mini import MiniEncoder
from sidscan.training.common.metrics import Scores, auroc
from sidscan.training.mini import ablations
from sidscan.training.mini.ablations import (
    CROPS,
    Seen,
    Study,
    curve_parts,
    divided,
    hard_weights,
    measure,
    table,
)
from sidscan.training.mini.ablations_text import Point, Row, render
from sidscan.training.mini.bootstrap_auroc import Wins, draws
from sidscan.training.mini.conditions import CONDITIONS
from sidscan.training.mini.corpus import FOLDS, Window, decode
from sidscan.training.mini.features import weights_of
from sidscan.training.mini.fit import SETTINGS, Described, Discriminants, verdict
from sidscan.training.mini.train import load, look
from sidscan.training.mini.variants import (
    PARTS,
    Crops,
    alike,
    as_shipped,
    certain,
    consensus,
    highest_and_mean,
)

WIDTH = 3  # statistics of every depth
Measured: TypeAlias = tuple[Study, dict[str, Scores], list[Point]]


def study(repos: int = 80, each: int = 3) -> Study:
    """Noise; synthetic repositories are shifted in the texture of full resolution, each its own way."""
    encoder = MiniEncoder()
    encoder.widths = [WIDTH] * encoder.blocks
    encoder.centre = nn.ParameterList(nn.Parameter(torch.zeros(WIDTH), False) for _ in encoder.widths)
    encoder.spread = nn.ParameterList(nn.Parameter(torch.ones(WIDTH), False) for _ in encoder.widths)
    generator = torch.Generator().manual_seed(0)
    windows = repos * each
    repo = torch.arange(windows) // each
    labels = (repo % 2).float()
    place = encoder.depths.index((0, "texture")) * WIDTH
    own = torch.randn(repos, WIDTH, generator=generator)[repo]

    def statistics(count: int) -> torch.Tensor:
        noise = torch.randn(windows, count, sum(encoder.widths), generator=generator)
        noise[:, :, place : place + WIDTH] += (labels[:, None] * (1.5 + own))[:, None]
        return noise.half()

    described = Described(
        statistics(11), torch.ones(windows, 11), labels, torch.ones(windows), repo // 2 % FOLDS, repo
    )
    seen = statistics(len(CONDITIONS) * CROPS)
    return Study(encoder, described, seen, torch.ones(seen.shape[:2]), divided(described), repo < repos // 2)


@pytest.fixture(scope="module")
def measured() -> Measured:
    made = study()
    return made, *measure(made)


def test_what_carries_the_label_is_what_is_missed(
    measured: Measured,
) -> None:
    made, found, _ = measured
    rows = {row.name: row for row in table(made, found, np.ones(len(made.seen), bool))}
    assert rows["as shipped"].auroc[0] > 0.9
    assert rows["without texture"].auroc[0] < 0.65
    assert rows["without texture"].interval[0][1] < 0  # clearly worse
    low, high = rows["without luma"].interval[0]
    assert -0.02 < low < high < 0.02
    low, high = rows["as shipped"].interval[0]
    assert low < rows["as shipped"].auroc[0] < high


def test_a_first_corpus_is_measured_alone(
    measured: Measured,
) -> None:
    made, found, _ = measured
    first = made.first.numpy()
    (row, *_) = table(made, found, first)
    labels = made.described.labels.numpy()[first] > 0
    values = found["as shipped"][first, 0]
    assert row.auroc[0] == auroc(values[labels], values[~labels])


def test_more_repositories_are_more(measured: Measured) -> None:
    _, _, points = measured
    assert [point.choices for point in points] == [4, 4, 2, 1]
    assert [point.fitted for point in points] == [(4, 4), (8, 8), (16, 16), (32, 32)]
    assert points[0].auroc[0] < points[-1].auroc[0]
    assert all(
        low < area < high for area, (low, high) in zip(points[-1].auroc, points[-1].interval, strict=True)
    )


def test_the_document_has_every_row(measured: Measured) -> None:
    made, found, points = measured
    rows = table(made, found, np.ones(len(made.seen), bool))
    text = render(rows, rows[:1], points)
    assert all(f"| {name} |" in text for name in found)
    assert text.count("\n| 32, 32 |") == 1


def test_wins_give_the_area_of_any_resample() -> None:
    rng = np.random.default_rng(0)
    evidence = rng.integers(0, 6, 60).astype(float)  # many ties
    synthetic, repos = rng.random(60) < 0.5, rng.integers(0, 5, 60)
    wins = Wins(evidence, synthetic, repos)
    positive, negative = draws(len(wins.synthetic), rng), draws(len(wins.real), rng)
    found = wins.auroc(positive, negative)
    for draw in range(3):
        sides = [
            np.concatenate([np.tile(evidence[chosen & (repos == repo)], int(times)) for repo, times in drawn])
            for chosen, drawn in (
                (synthetic, zip(wins.synthetic, positive[draw], strict=True)),
                (~synthetic, zip(wins.real, negative[draw], strict=True)),
            )
        ]
        assert found[draw] == pytest.approx(auroc(*sides))


def test_choices_of_parts_share_little() -> None:
    _, quarters, *_, (everything,) = ([set(parts) for parts in choices] for choices in curve_parts())
    assert everything == set(range(PARTS))
    assert set.union(*quarters) == set(range(PARTS))
    assert sum(len(some) for some in quarters) == PARTS


def test_weights_of_windows_and_repositories() -> None:
    described = study(repos=4, each=2).described
    large = described.where(torch.tensor([0, 0, 0, 1, 2, 3, 4, 5, 6]))
    labels, repos = (large.labels > 0).tolist(), large.repos.tolist()
    of_repo, by_window = weights_of(labels, repos, 0.0), weights_of(labels, repos, 1.0)
    photographs = large.labels == 0
    assert len(set(by_window[photographs].tolist())) == 1
    of_repos = [float(of_repo[photographs & (large.repos == repo)].sum()) for repo in (0, 2)]
    assert of_repos == pytest.approx([0.5, 0.5])


def test_every_repository_is_of_one_part() -> None:
    """Also one with both labels."""
    described = study(repos=40, each=2).described
    labels = described.labels.clone()
    labels[1] = 1 - labels[1]  # of the first repository's two windows
    parts = divided(replace(described, labels=labels))
    for repo in range(40):
        assert len(set(parts[described.repos == repo].tolist())) == 1


def crops_and_discriminants() -> tuple[Crops, Discriminants]:
    """Three crops, of which the last fills half of itself; two schools, four statistics, two depths."""
    generator = torch.Generator().manual_seed(0)
    crops = Crops(torch.randn(3, 4, generator=generator), torch.tensor([1.0, 1.0, 0.5]), [1, 3])
    directions = torch.tensor([[2.0, 0.1, -0.1, 0.2], [0.5, 0.5, 0.5, 0.5]])
    return crops, Discriminants(directions, torch.full((4,), 0.1), torch.diag(torch.tensor([1.0, 4, 1, 1])))


def test_readouts() -> None:
    crops, found = crops_and_discriminants()
    read = (crops.statistics - 0.1) @ found.directions.T * crops.certainty[:, None]
    torch.testing.assert_close(as_shipped(crops, found, SETTINGS), verdict(read))
    torch.testing.assert_close(consensus(crops, found, SETTINGS), read.mean(dim=1))
    torch.testing.assert_close(
        highest_and_mean(crops, found, SETTINGS), read.max(dim=1).values + read.mean(dim=1)
    )
    sure = certain(crops, found, SETTINGS)
    torch.testing.assert_close(sure[:2], as_shipped(crops, found, SETTINGS)[:2])
    assert sure[2] != as_shipped(crops, found, SETTINGS)[2]


def test_without_an_importance_estimator_every_depth_has_one_size() -> None:
    crops, found = crops_and_discriminants()
    values = torch.randn(1, 4) * torch.tensor([1.0, 0, 0, 0])
    only_first = replace(crops, statistics=values + 0.1, certainty=torch.ones(1))
    low = replace(SETTINGS, bar=-1e3, consensus=0.0)  # then the verdict is the mean reading, and a constant
    # depths have one deviation and their sum one, so the first statistic is worth a square root of two
    expected = float(values[0, 0]) / 2**0.5
    assert float(alike(only_first, found, low)) - 1e3 == pytest.approx(expected, abs=1e-3)


def test_crops_are_described_as_a_scan_sees_them(tmp_path: Path) -> None:
    """Of two pictures, one larger than a crop and one smaller: evidence follows the detector's logit."""
    rng = np.random.default_rng(0)
    network = load(Path(sidscan.__file__).parent / "weights" / "mini.safetensors")[:2]
    for name, side in (("large.png", 300), ("small.png", 150)):
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(tmp_path / name)
        window = Window(name, False, "kind", "o/a", "MIT", tmp_path)
        seen = torch.from_numpy(Seen()((0, window))).float()
        assert len(seen) == len(CONDITIONS) * CROPS
        features = network[0].embed(list(torch.split(seen[:CROPS, :-1], network[0].widths, dim=1)))
        logits = network[1](features * seen[:CROPS, -1, None, None])
        assert float(logits.mean()) == pytest.approx(look(*network, decode(window)).logit, abs=0.02)
        assert seen[0, -1] == pytest.approx(min(side / 224, 1) ** 0.5, abs=1e-3)


def test_hard_photographs_weigh_more_and_synthetic_ones_never() -> None:
    described = study(repos=20, each=3).described
    evidence = np.arange(60.0)
    weights = hard_weights(described, evidence)
    assert (weights[described.labels > 0] == 1).all()
    real = np.flatnonzero(described.labels.numpy() == 0)
    assert weights[real[-3:]].tolist() == [3, 3, 3]
    assert weights[real[:-3]].max() == 1


def windows(repos: int) -> list[Window]:
    return [Window("a.png", repo % 2 == 1, "kind", f"o/{repo}", "MIT") for repo in range(repos)]


def test_the_command_writes_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablations, "read_corpora", lambda corpora: windows(80))
    monkeypatch.setattr(ablations, "study_of", lambda windows, keep, workers: study())
    out = tmp_path / "a.md"
    result = CliRunner().invoke(ablations.main, ["--corpus", str(tmp_path), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "## Learning curve" in out.read_text(encoding="utf-8")


def test_too_few_repositories_are_told_before_anything_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablations, "read_corpora", lambda corpora: windows(78))
    result = CliRunner().invoke(ablations.main, ["--corpus", str(tmp_path), "--out", str(tmp_path / "a.md")])
    assert result.exit_code == 2
    assert "40 repositories of each label" in result.output


def test_short_figures() -> None:
    text = render([Row("a", (0.8534,) * 3, ((0.8, 0.9),) * 3, (0.5,) * 3)], [], [])
    assert "| a | .853 (.800 to .900) |" in text
