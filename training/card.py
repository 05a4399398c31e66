"""The model card of the bundled mini detector: measure the shipped file, write mini.json and mini.md.

    python -m sidscan.training.card --corpus DIR --weights sidscan/weights

mini.json holds every figure; mini.md is rendered from it. Run again, both come out the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from sidscan.models.backbones.mini import MiniEncoder
from sidscan.models.heads import RineHead

from .card_text import render
from .conditions import CONDITIONS
from .corpus import PARTS, Window, decode, read_manifest, split
from .metrics import Scores, auroc, figures
from .mini import COMMAND, FILE, HISTORIES, PENALTY, in_processes, load, mean_logit

RESAMPLES = 1000  # bootstrap draws of whole repositories
SEED = 0

Json = dict[str, Any]


class ConditionScorer:
    """(index, window) -> its mean ten-crop logit under every condition."""

    def __init__(self, corpus: Path, encoder: MiniEncoder, head: RineHead) -> None:
        self.corpus, self.encoder, self.head = corpus, encoder, head

    def __call__(self, numbered: tuple[int, Window]) -> list[float]:
        pixels = decode(self.corpus, numbered[1])
        return [mean_logit(self.encoder, self.head, change(pixels)) for change in CONDITIONS.values()]


def measure(windows: Sequence[Window], logits: Scores, threshold: float) -> Json:
    """All figures of one condition: logits (windows,), threshold on the score."""
    scores = scores_of(logits)
    synthetic = np.array([window.synthetic for window in windows])
    return {
        **_figures(scores[synthetic], scores[~synthetic], threshold),
        "auroc_interval": _bootstrap(windows, scores),
        "generators": {
            name: _figures(some, scores[~synthetic], threshold)
            for name, some in _groups(windows, scores, synthetic, lambda w: w.source).items()
        },
        "real_repositories": _false_positives(windows, scores, ~synthetic, threshold, lambda w: w.repo),
        "real_kinds": _false_positives(windows, scores, ~synthetic, threshold, lambda w: w.source),
    }


def _figures(synthetic: Scores, real: Scores, threshold: float) -> Json:
    found = figures(synthetic, real, threshold).as_dict()
    return {name: value if isinstance(value, int) else _rounded(value) for name, value in found.items()}


def _rounded(figure: float) -> float:
    return round(float(figure), 4)


def _groups(
    windows: Sequence[Window], scores: Scores, chosen: NDArray[np.bool_], key: Callable[[Window], str]
) -> dict[str, Scores]:
    """Scores of the chosen windows by key, the largest group first."""
    keys = np.array([key(window) for window in windows])
    counts = Counter(keys[chosen].tolist())
    names = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: scores[chosen & (keys == name)] for name in names}


def _false_positives(
    windows: Sequence[Window],
    scores: Scores,
    chosen: NDArray[np.bool_],
    threshold: float,
    key: Callable[[Window], str],
) -> Json:
    groups = _groups(windows, scores, chosen, key)
    return {
        name: {"n": len(some), "fpr": _rounded((some >= threshold).mean())} for name, some in groups.items()
    }


def _bootstrap(windows: Sequence[Window], scores: Scores) -> list[float]:
    """95 % interval of the AUROC when whole repositories are drawn with replacement, per label."""
    rng = np.random.default_rng(SEED)
    synthetic = np.array([window.synthetic for window in windows])
    sides = [
        list(_groups(windows, scores, side, lambda w: w.repo).values()) for side in (synthetic, ~synthetic)
    ]
    draws = []
    for _ in range(RESAMPLES):
        positive, negative = (
            np.concatenate([side[place] for place in rng.integers(0, len(side), len(side))]) for side in sides
        )
        draws.append(auroc(positive, negative))
    return [_rounded(bound) for bound in np.quantile(draws, (0.025, 0.975))]


def sources(parts: Mapping[str, Sequence[Window]]) -> list[Json]:
    """One row per (repository, label): part, windows, licences as the repository states them."""
    rows = []
    for part in PARTS:
        groups: dict[tuple[str, bool], list[Window]] = {}
        for window in parts[part]:
            groups.setdefault((window.repo, window.synthetic), []).append(window)
        for (repo, synthetic), some in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
            rows.append(
                {
                    "part": part,
                    "repository": repo,
                    "label": "synthetic" if synthetic else "real",
                    "windows": len(some),
                    "what": sorted({window.source for window in some}),
                    "licence": ", ".join(sorted({window.licence for window in some})),
                }
            )
    return rows


def make_card(corpus: Path, weights: Path, workers: int) -> Json:
    """Evaluate the weights on the test part under all conditions; everything behind the card."""
    encoder, head, metadata = load(weights)
    parts = split(read_manifest(corpus))
    threshold = float(metadata["threshold"])
    scorer = ConditionScorer(corpus, encoder, head)
    test = parts["test"]
    logits = np.array(in_processes(scorer, test, workers, "test"))
    found = {name: measure(test, logits[:, place], threshold) for place, name in enumerate(CONDITIONS)}
    return {
        "name": metadata["name"],
        "version": metadata["version"],
        "licence": metadata["licence"],
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "parameters": sum(tensor.numel() for module in (encoder, head) for tensor in module.parameters()),
        "training": {"command": COMMAND, "histories": HISTORIES, "penalty": PENALTY},
        "importance": _importance(encoder, head),
        "threshold": threshold,
        "threshold_made": "5 % false positives on validation photographs, ten-crop, as they are",
        "split": {part: sorted({window.repo for window in parts[part]}) for part in PARTS},
        "metrics": _for_catalog(scores_of(logits[:, 0]), test, threshold),
        "test": found,
        "sources": sources(parts),
    }


def scores_of(logits: Scores) -> Scores:
    """Sigmoid."""
    scores: Scores = 1 / (1 + np.exp(-logits))
    return scores


def _for_catalog(scores: Scores, windows: Sequence[Window], threshold: float) -> Json:
    """What `sidscan models list` shows of every detector."""
    synthetic = np.array([window.synthetic for window in windows])
    return {
        "accuracy": _rounded(float(np.mean((scores >= threshold) == synthetic))),
        "average_precision": _rounded(float(average_precision_score(synthetic, scores))),
        "about": "held-out repositories of its model card, ten crops, as they are; accuracy at its threshold",
    }


def _importance(encoder: MiniEncoder, head: RineHead) -> Json:
    """What the Trainable Importance Estimator gives every depth, mean over its channels."""
    shares = head.alpha.detach().softmax(dim=1).mean(dim=(0, 2))
    return {
        f"{kind}, 1/{2**level}": _rounded(float(share))
        for (level, kind), share in zip(encoder.depths, shares, strict=True)
    }


@click.command()
@click.option("--corpus", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--weights", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--workers", default=2, show_default=True, help="Processes that decode and score.")
def main(corpus: Path, weights: Path, workers: int) -> None:
    """Evaluate the mini detector in the folder WEIGHTS on CORPUS; write mini.json and mini.md beside it."""
    card = make_card(corpus, weights / FILE, workers)
    (weights / "mini.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    (weights / "mini.md").write_text(render(card), encoding="utf-8")


if __name__ == "__main__":
    main()
