"""The probe for drawings finds a planted direction on repositories left out, and changes nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sample_images import encoded, photo
from torch import Tensor

from sidscan.errors import UsageError
from sidscan.models.cautions import Caution
from sidscan.models.heads.rine import RineHead
from sidscan.models.heads.rine_ensemble import RineEnsemble
from sidscan.training.rine_b16 import train
from sidscan.training.rine_b16.cautions import (
    ART,
    DRAWN,
    MIXED,
    caution_rules,
    caution_threshold,
    drawn_tokens,
    fit_caution,
    held_out_cautions,
    lossless_mask,
    probe_figures,
    told_figures,
)
from sidscan.training.rine_b16.fit import EnsembleConfig, WindowTokens, held_out_logits
from sidscan.training.windows.corpus import Window

BLOCKS, WIDTH, WINDOWS = 3, 16, 400
SMALL = EnsembleConfig(ridge=0.1, probe_steps=100, probe_batch=64)
KINDS = ("synthetic", "web", ART, MIXED)


def window(number: int) -> Window:
    """One of four kinds in turn; eight windows to a repository."""
    kind = KINDS[number % 4]
    return Window(f"{number}.png", kind == "synthetic", kind, f"owner/r{number // 8}", "MIT")


ALL = [window(number) for number in range(WINDOWS)]


@pytest.fixture(scope="module")
def tokens() -> WindowTokens:
    """Two views; art, and nothing else, lies in one direction of the second block."""
    generator = torch.Generator().manual_seed(0)
    shift = torch.zeros(BLOCKS, WIDTH)
    shift[1, :4] = 2.0
    art = torch.tensor([float(each.category == ART) for each in ALL])[:, None, None]
    views = tuple(
        (5 + torch.randn(WINDOWS, BLOCKS, WIDTH, generator=generator) + art * shift).half() for _ in range(2)
    )
    synthetic = torch.tensor([float(each.synthetic) for each in ALL])
    return WindowTokens(views, synthetic, torch.ones(WINDOWS), torch.arange(WINDOWS) // 8 % 5)


def ensemble() -> RineEnsemble:
    torch.manual_seed(0)
    new = RineEnsemble([RineHead(BLOCKS, WIDTH, 4, 1)])
    torch.nn.init.constant_(new.mean, 5.0)
    torch.nn.init.normal_(new.probe)
    return new.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def fitted(tokens: WindowTokens) -> list[RineEnsemble]:
    """One ensemble per fold, its probe fitted without the fold."""
    ensembles = [ensemble() for _ in range(5)]
    drawn = drawn_tokens(ALL, tokens)
    for fold, each in enumerate(ensembles):
        fit_caution(each, DRAWN, drawn.where(drawn.folds != fold), SMALL)
    return ensembles


def test_only_art_and_photographs_are_fitted(tokens: WindowTokens) -> None:
    drawn = drawn_tokens(ALL, tokens)
    assert len(drawn.labels) == len(drawn.views[0]) == WINDOWS // 2
    assert drawn.labels.tolist() == [0.0, 1.0] * (WINDOWS // 4)
    assert [float(drawn.weights[drawn.labels == label].sum()) for label in (0, 1)] == pytest.approx([1, 1])


@pytest.mark.parametrize("kind", ["web", ART])
def test_both_labels_are_needed(tokens: WindowTokens, kind: str) -> None:
    chosen = torch.tensor([each.category == kind for each in ALL])
    with pytest.raises(UsageError, match="windows of kind human_art and of photographs"):
        drawn_tokens([each for each in ALL if each.category == kind], tokens.where(chosen))


def test_art_of_other_repositories_is_found(fitted: list[RineEnsemble], tokens: WindowTokens) -> None:
    logits = held_out_cautions(fitted, DRAWN, tokens.views[0], tokens.folds)
    threshold = caution_threshold(logits, ALL)
    figures = probe_figures(logits, ALL, threshold)
    assert (figures["drawn"], figures["photographs"]) == (100, 100)
    assert figures["auroc"] > 0.95
    assert figures["kinds"]["web"] == {"n": 100, "flagged": pytest.approx(0.02, abs=0.011)}
    assert figures["kinds"][ART]["flagged"] == pytest.approx(figures["found"], abs=0.011)
    assert figures["kinds"]["synthetic"]["flagged"] < 0.1


def test_all_else_in_the_head_stays(fitted: list[RineEnsemble], tokens: WindowTokens) -> None:
    before, after = ensemble(), fitted[0]
    state: dict[str, Tensor] = after.state_dict()
    added = state.keys() - before.state_dict().keys()
    assert added == {"cautions.drawn.weight", "cautions.drawn.bias"}
    assert all(torch.equal(state[name], tensor) for name, tensor in before.state_dict().items())
    logits = [held_out_logits([each] * 5, tokens.views[0], tokens.folds) for each in (before, after)]
    assert torch.equal(*logits)


def test_logits_of_a_probe_are_standardised(fitted: list[RineEnsemble], tokens: WindowTokens) -> None:
    drawn = drawn_tokens(ALL, tokens)
    used = drawn.where(drawn.folds != 0)
    logits = torch.cat([fitted[0].caution_logits(view.float(), DRAWN) for view in used.views])
    assert float(logits.mean()) == pytest.approx(0, abs=1e-4)
    assert float(logits.std(correction=0)) == pytest.approx(1, abs=1e-4)


def test_a_probe_of_a_fold_never_saw_its_windows(
    tokens: WindowTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []
    monkeypatch.setattr(train, "fit_caution", lambda head, kind, used: seen.append(set(used.folds.tolist())))
    train.fit_cautions([ensemble()] * 5, ensemble(), ALL, tokens)
    every = set(range(5))
    assert seen == [*(every - {fold} for fold in range(5)), every]


@pytest.mark.parametrize(
    ("kind", "n", "fpr", "expected"),
    [
        pytest.param(ART, 30, 0.051, Caution("drawn", "probe", 0.051, 30, 1.5), id="drawn"),
        pytest.param("lossless", 185, 0.07, Caution("lossless", "file", 0.07, 185), id="lossless"),
        pytest.param(ART, 29, 0.5, None, id="too few images"),
        pytest.param(ART, 300, 0.05, None, id="few enough false positives"),
        pytest.param("press", 300, 0.2, None, id="no row can tell it"),
    ],
)
def test_the_card_cautions_against_kinds_with_many_false_positives(
    kind: str, n: int, fpr: float, expected: Caution | None
) -> None:
    rules = caution_rules({kind: {"n": n, "fpr": fpr}}, 1.5)
    assert Caution.all_from([dict(rule) for rule in rules]) == ((expected,) if expected else ())


def test_a_repository_does_not_set_the_threshold_alone() -> None:
    """Of 100 photographs of one repository and 25 others, only those of the one are at the top."""
    images = [Window("a", False, "web", "large", "MIT")] * 100
    images += [Window("a", False, "web", f"r{number}", "MIT") for number in range(25)]
    logits = torch.cat([torch.linspace(2, 1, 100), torch.zeros(25)])
    by_weight, by_count = caution_threshold(logits, images), float(logits.quantile(0.98))
    assert by_weight < by_count


def test_figures_of_what_is_told() -> None:
    images = [window(number) for number in (0, 0, 1, 1, 1, 1)]
    told = np.array([True, False, True, True, False, False])
    scores = np.array([0.9, 0.9, 0.9, 0.1, 0.9, 0.9])
    assert told_figures(told, images, scores, 0.5) == {"real": 2, "fpr": 0.5, "synthetic": 1, "tpr": 1.0}
    nothing = told_figures(~np.ones(6, bool), images, scores, 0.5)
    assert nothing == {"real": 0, "fpr": None, "synthetic": 0, "tpr": None}


def test_files_tell_whether_they_are_lossless(tmp_path: Path) -> None:
    files = {"a.png": "PNG", "b.jpg": "JPEG", "c.tif": "TIFF", "d.webp": "WEBP"}
    for name, image_format in files.items():
        (tmp_path / name).write_bytes(encoded(photo(40, 30), image_format))
    (tmp_path / "e.png").write_bytes(encoded(photo(40, 30), "JPEG"))
    images = [Window(name, False, "web", "r", "MIT", tmp_path) for name in (*files, "e.png")]
    assert lossless_mask(images).tolist() == [True, False, True, False, False]
