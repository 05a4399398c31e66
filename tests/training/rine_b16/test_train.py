"""From windows and whole images to weights and a card, with a small encoder."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from sample_images import photo
from tiny_networks import random_clip

from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.families.mini import mini_networks
from sidscan.models.heads.rine import RineHead
from sidscan.models.heads.rine_ensemble import RineEnsemble
from sidscan.training.rine_b16 import baselines as baselines_module
from sidscan.training.rine_b16 import card as card_module
from sidscan.training.rine_b16 import cautions as cautions_module
from sidscan.training.rine_b16 import comparison as comparison_module
from sidscan.training.rine_b16 import crops as crops_module
from sidscan.training.rine_b16 import features as features_module
from sidscan.training.rine_b16 import train as train_module
from sidscan.training.rine_b16.card_text import render_card
from sidscan.training.rine_b16.fit import EnsembleConfig, WindowTokens
from sidscan.training.rine_b16.train import load_weights
from sidscan.training.windows import figures as figures_module
from sidscan.training.windows import whole_images as whole_images_module
from sidscan.training.windows.corpus import Window
from sidscan.training.windows.reserved import repository_digest

SHORT = EnsembleConfig(probe_steps=20, probe_batch=16)
TINY = {"width": 64, "blocks": 2, "patch": 32, "side": 224, "embedding": 8}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Twenty windows of ten repositories, every other one called synthetic, and a list of whole images."""
    folder = tmp_path / "corpus"
    (folder / "whole").mkdir(parents=True)
    rows, images = [], []
    for number in range(20):
        repo, label = f"owner/r{number // 2}", ("real", "synthetic")[number // 2 % 2]
        kind = "human_art" if number // 2 in (0, 4) else "web"
        photo(240 + 4 * number, 250).save(folder / f"{number}.png")
        target = folder / "whole" / repo.replace("/", "__") / f"{number}.png"
        target.parent.mkdir(exist_ok=True)
        photo(400 + number, 300).save(target)
        rows.append([f"{number}.png", label, "flux", kind, repo, "MIT"])
        images.append([label, kind, repo, "", f"{number}.png", str(number), "MIT"])
    for name, header, lines in (
        ("manifest.csv", ["file", "label", "generator", "kind", "repo", "license"], rows),
        ("whole.csv", ["label", "what", "repo", "commit", "path", "blob", "licence"], images),
    ):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *lines])
    return folder


@pytest.fixture
def in_this_process(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small encoder instead of the installed one, no worker processes, and the corpus's own list."""
    encoder = ClipEncoder.from_state(random_clip(**TINY))

    def map_here(
        task: Callable[[tuple[int, Window]], object], windows: Sequence[Window], workers: int, title: str
    ) -> list[object]:
        return [task(numbered) for numbered in enumerate(windows)]

    monkeypatch.setattr(cautions_module, "PROBE_FIT", SHORT)
    for module in (features_module, crops_module):
        monkeypatch.setattr(module, "map_windows", map_here)
        monkeypatch.setattr(module, "open_encoder", lambda: encoder)
    monkeypatch.setattr(baselines_module, "map_windows", map_here)
    with resources.as_file(resources.files("sidscan.weights") / "mini.safetensors") as path:
        mini = mini_networks(load_file(path))  # fitting it takes half a minute
    monkeypatch.setattr(figures_module, "_RESAMPLES", 5)  # of some hundred intervals
    monkeypatch.setattr(comparison_module, "fit_mini", lambda *_: [mini] * 5)
    images = whole_images_module.read_image_list(corpus / "whole.csv")
    monkeypatch.setattr(whole_images_module, "read_image_list", lambda: images)


@pytest.mark.usefixtures("in_this_process")
def test_train_and_card(corpus: Path, tmp_path: Path) -> None:
    out, work, cache = (str(tmp_path / name) for name in ("out", "folds", "cache"))
    given = ["--corpus", str(corpus), "--whole", str(corpus / "whole"), "--folds", work, "--cache", cache]
    trained = CliRunner().invoke(train_module.train_command, [*given, "--out", out])
    assert trained.exit_code == 0, trained.output
    head, metadata = load_weights(Path(out) / "rine_b16.safetensors")
    assert (head.num_blocks, head.embed_dim, head.caution_kinds) == (2, 64, ("drawn",))
    assert metadata["training_data"].startswith("10 synthetic windows and 10 windows of photographs")
    measured = CliRunner().invoke(card_module.card_command, [*given, "--weights", out])
    assert measured.exit_code == 0, measured.output
    card = json.loads((Path(out) / "rine_b16.json").read_text(encoding="utf-8"))
    assert card["threshold"] == float(metadata["threshold"])
    assert (card["whole"]["clean"]["real"], card["windows"]["jpeg75"]["synthetic"]) == (10, 10)
    assert 0 <= card["effort"]["clean"]["kept"] <= 1
    assert (card["cautions"], card["told"]) == ([], {}), "no kind has enough images to be judged"
    probe = card["probe"]["clean"]
    assert (probe["drawn"], probe["photographs"]) == (4, 6)
    assert {name: kind["n"] for name, kind in probe["kinds"].items()} == {
        "synthetic": 10,
        "web": 6,
        "human_art": 4,
    }
    comparison = card["comparison"]
    assert set(comparison["images"]["social media"]) == {"rine-b16", "plain probe", "mini"}
    assert comparison["windows"]["clean"]["rine-b16"]["auroc"] == card["windows"]["clean"]["auroc"]
    assert comparison["images"]["JPEG 75"]["mini"]["real"] == 5
    text = (Path(out) / "rine_b16.md").read_text(encoding="utf-8")
    assert text == render_card(card)
    assert card["sha256"] in text


def test_a_head_of_a_fold_never_saw_its_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[set[int]] = []

    def stub(tokens: WindowTokens, title: str) -> RineEnsemble:
        fitted.append(set(tokens.folds.tolist()))
        return RineEnsemble([RineHead(1, 1, 1, 1)]).eval().requires_grad_(False)

    monkeypatch.setattr(train_module, "fit_ensemble", stub)
    labels = (torch.arange(20) // 5 % 2).float()
    train_module.fit_all(WindowTokens((torch.rand(20, 1, 1),), labels, torch.ones(20), torch.arange(20) % 5))
    every = set(range(5))
    assert fitted == [*(every - {fold} for fold in range(5)), every]


def test_reserved_repositories_are_refused(corpus: Path, tmp_path: Path) -> None:
    reserved = tmp_path / "reserved.txt"
    reserved.write_text(repository_digest("owner/r3"), encoding="utf-8")
    folders = [
        "--corpus",
        str(corpus),
        "--whole",
        str(corpus),
        "--out",
        str(tmp_path),
        "--folds",
        str(tmp_path),
    ]
    result = CliRunner().invoke(train_module.train_command, [*folders, "--reserved", str(reserved)])
    assert result.exit_code == 2
    assert "reserves owner/r3" in " ".join(result.output.split())
