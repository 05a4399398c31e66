"""Ablations of the bundled detector, on planted statistics: a few numbers per feature group."""

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
    NUM_CROPS,
    AblationData,
    ConditionExtractor,
    assign_parts,
    hard_weights,
    part_choices,
    run_variants,
    variant_rows,
)
from sidscan.training.mini.ablations_text import CurvePoint, VariantRow, render_ablations
from sidscan.training.mini.fit import DEFAULT_FIT, Discriminants, WindowFeatures, pool_scores
from sidscan.training.mini.train import load_weights, score_window
from sidscan.training.mini.variants import (
    PARTS,
    CropStatistics,
    as_shipped,
    equal_importance,
    highest_and_mean,
    mean_score,
    without_content_weight,
)
from sidscan.training.windows.conditions import CONDITIONS
from sidscan.training.windows.corpus import FOLDS, Window, decode_window

SIZE = 3  # statistics of every feature group
Measured: TypeAlias = tuple[AblationData, dict[str, Scores], list[CurvePoint]]


def ablation_data(repos: int = 80, each: int = 3) -> AblationData:
    """Noise. Each synthetic repository is shifted in a different way, in the texture at full resolution."""
    encoder = MiniEncoder()
    encoder.group_sizes = [SIZE] * encoder.num_blocks
    encoder.centre = nn.ParameterList(nn.Parameter(torch.zeros(SIZE), False) for _ in encoder.group_sizes)
    encoder.spread = nn.ParameterList(nn.Parameter(torch.ones(SIZE), False) for _ in encoder.group_sizes)
    generator = torch.Generator().manual_seed(0)
    windows = repos * each
    repo = torch.arange(windows) // each
    labels = (repo % 2).float()
    first = encoder.feature_groups.index((0, "texture")) * SIZE
    shift = torch.randn(repos, SIZE, generator=generator)[repo]

    def statistics(count: int) -> torch.Tensor:
        noise = torch.randn(windows, count, sum(encoder.group_sizes), generator=generator)
        noise[:, :, first : first + SIZE] += (labels[:, None] * (1.5 + shift))[:, None]
        return noise.half()

    features = WindowFeatures(
        statistics(11), torch.ones(windows, 11), labels, torch.ones(windows), repo // 2 % FOLDS, repo
    )
    measured = statistics(len(CONDITIONS) * NUM_CROPS)
    weight, parts = torch.ones(measured.shape[:2]), assign_parts(features)
    return AblationData(encoder, features, measured, weight, parts, repo < repos // 2)


@pytest.fixture(scope="module")
def measured() -> Measured:
    data = ablation_data()
    return data, *run_variants(data)


def test_removing_the_informative_group_lowers_the_auroc(measured: Measured) -> None:
    data, evidence_of, _ = measured
    rows = {row.name: row for row in variant_rows(data, evidence_of, np.ones(len(data.parts), bool))}
    assert rows["as shipped"].auroc[0] > 0.9
    assert rows["without texture"].auroc[0] < 0.65
    assert rows["without texture"].interval[0][1] < 0  # clearly worse
    low, high = rows["without luma"].interval[0]
    assert -0.02 < low < high < 0.02
    low, high = rows["as shipped"].interval[0]
    assert low < rows["as shipped"].auroc[0] < high


def test_the_first_corpus_is_measured_alone(measured: Measured) -> None:
    data, evidence_of, _ = measured
    first = data.first.numpy()
    (row, *_) = variant_rows(data, evidence_of, first)
    labels = data.features.labels.numpy()[first] > 0
    values = evidence_of["as shipped"][first, 0]
    assert row.auroc[0] == auroc(values[labels], values[~labels])


def test_more_repositories_give_a_higher_auroc(measured: Measured) -> None:
    _, _, points = measured
    assert [point.choices for point in points] == [4, 4, 2, 1]
    assert [point.fitted for point in points] == [(4, 4), (8, 8), (16, 16), (32, 32)]
    assert points[0].auroc[0] < points[-1].auroc[0]
    assert all(
        low < area < high for area, (low, high) in zip(points[-1].auroc, points[-1].interval, strict=True)
    )


def test_the_document_has_every_row(measured: Measured) -> None:
    data, evidence_of, points = measured
    rows = variant_rows(data, evidence_of, np.ones(len(data.parts), bool))
    text = render_ablations(rows, rows[:1], points)
    assert all(f"| {name} |" in text for name in evidence_of)
    assert text.count("\n| 32, 32 |") == 1


def test_quarters_of_the_parts_are_disjoint_and_complete() -> None:
    _, quarters, *_, (everything,) = ([set(parts) for parts in choices] for choices in part_choices())
    assert everything == set(range(PARTS))
    assert set.union(*quarters) == set(range(PARTS))
    assert sum(len(parts) for parts in quarters) == PARTS


def test_every_repository_belongs_to_exactly_one_part() -> None:
    """This holds for a repository with both labels, too."""
    features = ablation_data(repos=40, each=2).features
    labels = features.labels.clone()
    labels[1] = 1 - labels[1]  # one of the first repository's two windows
    parts = assign_parts(replace(features, labels=labels))
    for repo in range(40):
        assert len(set(parts[features.repos == repo].tolist())) == 1


def crops_and_discriminants() -> tuple[CropStatistics, Discriminants]:
    """Three crops, the last one half padding; two sources, four statistics, two feature groups."""
    generator = torch.Generator().manual_seed(0)
    crops = CropStatistics(torch.randn(3, 4, generator=generator), torch.tensor([1.0, 1.0, 0.5]), [1, 3])
    directions = torch.tensor([[2.0, 0.1, -0.1, 0.2], [0.5, 0.5, 0.5, 0.5]])
    return crops, Discriminants(directions, torch.full((4,), 0.1), torch.diag(torch.tensor([1.0, 4, 1, 1])))


def test_readouts() -> None:
    crops, fitted = crops_and_discriminants()
    scores = (crops.statistics - 0.1) @ fitted.directions.T * crops.content_weight[:, None]
    torch.testing.assert_close(as_shipped(crops, fitted, DEFAULT_FIT), pool_scores(scores))
    torch.testing.assert_close(mean_score(crops, fitted, DEFAULT_FIT), scores.mean(dim=1))
    torch.testing.assert_close(
        highest_and_mean(crops, fitted, DEFAULT_FIT), scores.max(dim=1).values + scores.mean(dim=1)
    )
    unweighted = without_content_weight(crops, fitted, DEFAULT_FIT)
    torch.testing.assert_close(unweighted[:2], as_shipped(crops, fitted, DEFAULT_FIT)[:2])
    assert unweighted[2] != as_shipped(crops, fitted, DEFAULT_FIT)[2]


def test_without_the_importance_estimator_groups_weigh_the_same() -> None:
    crops, fitted = crops_and_discriminants()
    values = torch.randn(1, 4) * torch.tensor([1.0, 0, 0, 0])
    only_first = replace(crops, statistics=values + 0.1, content_weight=torch.ones(1))
    low = replace(
        DEFAULT_FIT, margin=-1e3, consensus=0.0
    )  # makes the evidence the mean score plus a constant
    # all groups and their sum have the same deviation, so the first statistic is divided by sqrt(2)
    expected = float(values[0, 0]) / 2**0.5
    assert float(equal_importance(only_first, fitted, low)) - 1e3 == pytest.approx(expected, abs=1e-3)


def test_statistics_are_those_of_a_scan(tmp_path: Path) -> None:
    """The head gives the detector's logit, for an image larger than a crop and for a smaller one."""
    rng = np.random.default_rng(0)
    network = load_weights(Path(sidscan.__file__).parent / "weights" / "mini.safetensors")[:2]
    for name, side in (("large.png", 300), ("small.png", 150)):
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(tmp_path / name)
        window = Window(name, False, "kind", "o/a", "MIT", tmp_path)
        array = torch.from_numpy(ConditionExtractor()((0, window))).float()
        assert len(array) == len(CONDITIONS) * NUM_CROPS
        groups = torch.split(array[:NUM_CROPS, :-1], network[0].group_sizes, dim=1)
        logits = network[1](network[0].embed(list(groups)) * array[:NUM_CROPS, -1, None, None])
        assert float(logits.mean()) == pytest.approx(
            score_window(*network, decode_window(window)).logit, abs=0.02
        )
        assert array[0, -1] == pytest.approx(min(side / 224, 1) ** 0.5, abs=1e-3)


def test_hard_photographs_weigh_more_and_synthetic_ones_never() -> None:
    features = ablation_data(repos=20, each=3).features
    evidence = np.arange(60.0)
    weights = hard_weights(features, evidence)
    assert (weights[features.labels > 0] == 1).all()
    real = np.flatnonzero(features.labels.numpy() == 0)
    assert weights[real[-3:]].tolist() == [3, 3, 3]
    assert weights[real[:-3]].max() == 1


def windows(repos: int) -> list[Window]:
    return [Window("a.png", repo % 2 == 1, "kind", f"o/{repo}", "MIT") for repo in range(repos)]


def test_the_command_writes_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablations, "read_corpora", lambda corpora: windows(80))
    monkeypatch.setattr(ablations, "load_data", lambda windows, cache, workers: ablation_data())
    out = tmp_path / "a.md"
    result = CliRunner().invoke(ablations.ablations_command, ["--corpus", str(tmp_path), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "## Learning curve" in out.read_text(encoding="utf-8")


def test_too_few_repositories_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablations, "read_corpora", lambda corpora: windows(78))
    result = CliRunner().invoke(
        ablations.ablations_command, ["--corpus", str(tmp_path), "--out", str(tmp_path / "a.md")]
    )
    assert result.exit_code == 2
    assert "40 repositories of each label" in result.output


def test_short_figures() -> None:
    text = render_ablations([VariantRow("a", (0.8534,) * 3, ((0.8, 0.9),) * 3, (0.5,) * 3)], [], [])
    assert "| a | .853 (.800 to .900) |" in text
