"""The authors' figures: complete, and with the averages of the paper."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import pytest

from sidscan.errors import UsageError
from sidscan.models.catalog import CATALOG
from sidscan.training.datasets.layouts import find_layout
from sidscan.training.evaluation import published, tables
from sidscan.training.rine.recipe import PRESETS


def test_all_runs_are_included() -> None:
    studies = Counter(run.study for run in published.published_runs().values())
    assert studies == {
        "grid": 288,
        "epochs": 36,
        "dataset_size": 12,
        "ablations": 9,
        "diffusion": 24,
        "perturbations": 15,
    }


def test_every_run_covers_known_sets() -> None:
    twenty, nine = (
        [known.key for known in find_layout(name).known_sets] for name in ("cnndetection", "synthbuster")
    )
    for run in published.published_runs().values():
        assert list(run.figures) == (nine if run.study == "diffusion" else twenty)
        assert all(0.3 < figure <= 1 for pair in run.figures.values() for figure in pair)


@pytest.mark.parametrize(
    ("name", "cell"),
    [("progan-1class", "90.3/98.6"), ("progan-2class", "87.7/98.7"), ("progan-4class", "91.5/98.8")],
)
def test_averages_match_the_paper(name: str, cell: str) -> None:
    acc, ap = published.find_run(name).mean()
    assert f"{100 * acc:.1f}/{100 * ap:.1f}" == cell


@pytest.mark.parametrize(
    ("name", "accuracy", "precision"),  # means of the authors' own files, in percent
    [
        ("grid:ViT-L/14:4:0.2:2:1024", 91.45012, 98.84919),
        ("grid:ViT-B/32:1:0.1:1:128", 76.31536, 90.05604),
        ("epochs:ViT-L/14:4:0.8:4:1024:15", 87.90817, 98.56225),
        ("dataset_size:2:0.2", 91.24430, 98.57071),
        ("ablations:1:alpha", 85.02566, 97.75271),
        ("perturbations:4:combined", 82.66138, 92.76957),
        ("ldm", 87.45000, 90.45511),
    ],
)
def test_averages_match_the_authors_files(name: str, accuracy: float, precision: float) -> None:
    assert published.find_run(name).mean() == pytest.approx((accuracy / 100, precision / 100), abs=3e-6)


def test_single_figures() -> None:
    figures = published.find_run("ablations:1:alpha").figures
    assert figures["progan"] == pytest.approx((0.994875, 0.9999881), abs=6e-6)
    assert figures["dalle"] == pytest.approx((0.877, 0.9860685), abs=6e-6)


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_the_published_heads_are_the_best_of_the_grid(classes: int) -> None:
    grid = [
        run for run in published.published_runs().values() if run.study == "grid" and run.classes == classes
    ]
    assert len(grid) == 96
    assert max(grid, key=lambda run: sum(run.mean())) == published.find_run(f"progan-{classes}class")


def test_published_models_map_to_their_runs() -> None:
    assert published.run_of_model("rine-2class").name == "grid:ViT-L/14:2:0.2:4:128"
    assert published.run_of_model("rine-ldm").name == "diffusion:ViT-L/14:0.4:4:1024:5"
    assert published.run_of_model("rine-4class", "compress-published").name == "perturbations:4:compress"
    with pytest.raises(UsageError, match="published no figures for mini"):
        published.run_of_model("mini")


def test_an_unknown_run_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        published.find_run("progan-3class")
    for words in ("progan-4class", "288 like grid:ViT-L/14:", "15 like perturbations:4:", "Near it: progan-"):
        assert words in str(caught.value)


RECIPE = {
    "head": "rine",
    "ablate": "none",
    "xi": 0.2,
    "num_proj_layers": 2,
    "proj_dim": 1024,
    "epochs": 1,
    "data_fraction": 1.0,
    "lr": 1e-3,
    "batch": 128,
    "lr_milestones": [6, 11],
}
FOUR = {"layout": "cnndetection", "classes": ["car", "cat", "chair", "horse"]}


@pytest.mark.parametrize(
    ("encoder", "changed", "facts", "run"),
    [
        ("clip-vit-l14", {}, {}, "grid:ViT-L/14:4:0.2:2:1024"),
        ("ViT-B-32.pt", {}, {}, "grid:ViT-B/32:4:0.2:2:1024"),
        ("clip-vit-l14", {"epochs": 15}, {}, "epochs:ViT-L/14:4:0.2:2:1024:15"),
        ("clip-vit-l14", {"ablate": "tie"}, {}, "ablations:4:alpha"),
        ("clip-vit-l14", {"data_fraction": 0.5}, {}, "dataset_size:4:0.5"),
        ("clip-vit-l14", {"data_fraction": 0.5, "xi": 0.4}, {}, None),
        ("clip-vit-l14", {"xi": 0.3}, {}, None),
        ("clip-vit-l14", {"lr": 1e-4}, {}, None),
        ("clip-vit-l14", {"batch": 64}, {}, None),
        ("clip-vit-l14", {"epochs": 15, "lr_milestones": [3]}, {}, None),
        ("clip-vit-l14", {}, {"classes": ["dog"]}, None),
        ("clip-vit-l14", {"head": "fpn"}, {}, None),
        ("clip-vit-l14", {"epochs": 3}, {"layout": "ldm", "classes": []}, "diffusion:ViT-L/14:0.2:2:1024:3"),
    ],
)
def test_a_checkpoint_is_matched_to_the_run_of_its_configuration(
    encoder: str, changed: dict[str, object], facts: dict[str, object], run: str | None
) -> None:
    matched = published.run_of_checkpoint(encoder, {"recipe": {**RECIPE, **changed}, **FOUR, **facts})
    assert (matched.name if matched else None) == run


@pytest.mark.parametrize("lacking", sorted(RECIPE))
def test_an_incomplete_recipe_matches_nothing(lacking: str) -> None:
    recipe = {name: value for name, value in RECIPE.items() if name != lacking}
    assert published.run_of_checkpoint("clip-vit-l14", {"recipe": recipe, **FOUR}) is None


def test_a_recipe_under_the_keys_of_sidscan_0_1_is_matched() -> None:
    today = {"ablate": "without", "num_proj_layers": "layers", "proj_dim": "projected"}
    today |= {"data_fraction": "share", "lr_milestones": "reduce_at"}
    recipe = {today.get(name, name): value for name, value in RECIPE.items()}
    run = published.run_of_checkpoint("clip-vit-l14", {"recipe": recipe, **FOUR})
    assert run == published.find_run("progan-4class")


def test_a_recipe_recorded_by_training_is_matched() -> None:
    facts = {"recipe": asdict(PRESETS["progan-4class"].recipe), **FOUR}
    assert published.run_of_checkpoint("clip-vit-l14", facts) == published.find_run("progan-4class")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (FOUR, "4"),
        ({"layout": "cnndetection", "classes": ["horse"]}, "1"),
        ({"layout": "ldm", "classes": []}, "LDM"),
        ({"layout": "cnndetection", "classes": []}, "-"),
        ({"layout": "cnndetection", "classes": "horse"}, "-"),
        ({}, "-"),
    ],
)
def test_classes_as_a_checkpoint_states_them(facts: dict[str, object], words: str) -> None:
    assert published.training_classes(facts) == words


def test_a_checkpoint_without_facts_matches_nothing() -> None:
    assert published.run_of_checkpoint("clip-vit-l14", {}) is None


def test_only_the_published_heads_were_perturbed() -> None:
    with pytest.raises(UsageError, match="the authors published no perturbed figures for ablations:4:alpha"):
        published.run_of_model("mine.safetensors", "blur", "ablations:4:alpha")


def test_averages_of_other_methods_stand_beside_models_of_the_catalog() -> None:
    named = [method.model for method in published.OTHER_METHODS if method.model]
    assert set(named) <= set(CATALOG)
    dmid = published.average_of_model("dmid")
    assert dmid is not None
    assert (dmid.accuracy, dmid.precision) == (77.6, 93.9)
    assert published.average_of_model("") is None


def test_models_of_which_nothing_was_published_are_left_out_beside_others() -> None:
    compared = tables.runs_to_compare(["npr", "rine-4class", "dmid"], "", "")
    assert list(compared) == ["rine-4class", "dmid"]
    assert compared["dmid"] is None
    with pytest.raises(UsageError, match="the authors published no figures for npr"):
        tables.runs_to_compare(["npr"], "", "")
    with pytest.raises(UsageError, match=r"figures for mini, npr or cnndet-p05\n.*leave --compare out"):
        tables.runs_to_compare(["mini", "npr", "cnndet-p05"], "", "")
    with pytest.raises(UsageError, match="dmid"):
        tables.runs_to_compare(["dmid"], "blur", "")
