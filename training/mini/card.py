"""The model card of the bundled mini detector: measure the five folds, write mini.json and mini.md.

    python -m sidscan.training.mini.card --corpus DIR --corpus MORE --weights sidscan/weights --folds FOLDS

FOLDS is the work folder of the training: every window is scored by the weights that its repository had no
part in. mini.json holds every figure; mini.md is rendered from it. Run again, both come out the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import average_precision_score

from sidscan.images.jpeg_quality import estimate_jpeg_quality
from sidscan.models.abstention import Abstention
from sidscan.models.backbones.mini import CERTAINTY_POWER, MiniEncoder
from sidscan.models.heads.rine import RineHead
from sidscan.training.common.files import write_json, write_text
from sidscan.training.common.metrics import Scores, auroc, detection_metrics

from .card_text import render
from .conditions import CONDITIONS, middle, resaved
from .corpus import FOLDS, Pixels, Window, fold_of_repo, read_corpora, spread
from .features import COPIES, HISTORIES
from .fit import SETTINGS
from .processes import in_processes
from .train import COMMAND, FILE, FOLD_FILE, LOGIT, SMALLER_SIDE, Scorer, corpora_option, load

HARD: dict[str, Callable[[Pixels], Pixels]] = {
    **{f"side {side}": partial(middle, side=side) for side in (32, 64, 96, 128)},
    **{f"jpeg {quality}": partial(resaved, quality=quality) for quality in (10, 20, 30, 50)},
}
FAMILIES = {  # the first that matches
    "StyleGAN, 1 to 3": r"^stylegan",
    "CLIP-guided, VQGAN, DALL-E's early kin": r"clip|vqgan|disco|glid|sleep|daze|mindalle|dalle-m|karlo",
    "other GANs": r"gan|pix2pix",
    "several, or not stated": r"/|various|unknown|unstated|mixed|misc|stated-ai|viral|^ai|^other|^comfyui",
    "DALL-E 2": r"dall-?e-?2",
    "DALL-E 3": r"dall-?e-?3",
    "GPT image models": r"gpt",
    "Gemini image models (Nano Banana)": r"gemini|banana",
    "Midjourney": r"midjourney",
    "Flux": r"flux",
    "Stable Diffusion XL": r"sdxl",
    "Stable Diffusion 3": r"^sd-?3",
    "Stable Diffusion 1 and 2": r"(^sd|stable-diffusion)-?[12]|dreamlike",
    "Stable Diffusion, version not stated": r"^sd|stable-diffusion",
    "autoregressive and masked": r"janus|llamagen|infinity|muse",
}
OTHERS = "other diffusion models"
HARD_WINDOWS = 400  # of each label
AT_MOST = 10  # of one repository and label
OF_ONE_SIDE = 200  # windows of each label, for an AUROC among those of one size
RESAMPLES = 1000  # bootstrap draws of whole repositories
SEED = 0
CARD_COMMAND = (
    "python -m sidscan.training.mini.card --corpus DIR --corpus MORE --weights sidscan/weights --folds FOLDS"
)
THRESHOLD_MADE = (
    "5 % false positives on photographs of repositories left out of the fit (five folds), a repository of n "
    "weighing as the square root of n; ten-crop, as they are"
)

Json = dict[str, Any]


def measure(windows: Sequence[Window], logits: Scores, threshold: float) -> Json:
    """All figures of one condition: logits (windows,), threshold on the score."""
    scores = scores_of(logits)
    synthetic = np.array([window.synthetic for window in windows])
    real = scores[~synthetic]
    return {
        **_figures(scores[synthetic], scores[~synthetic], threshold),
        **_bootstrap(windows, scores),
        "auroc_of_repositories": _rounded(
            np.mean([auroc(some, real) for some in _groups(windows, scores, synthetic, _repo).values()])
        ),
        "generators": {
            name: _figures(some, scores[~synthetic], threshold)
            for name, some in _groups(windows, scores, synthetic, family).items()
        },
        "real_repositories": _false_positives(windows, scores, ~synthetic, threshold, _repo),
        "real_kinds": _false_positives(windows, scores, ~synthetic, threshold, lambda w: w.source),
    }


def family(window: Window) -> str:
    """The kind of generator that made a synthetic window; repositories name one in many ways."""
    name = re.sub(r"[_ ]+", "-", window.source.lower())
    return next((family for family, pattern in FAMILIES.items() if re.search(pattern, name)), OTHERS)


def _repo(window: Window) -> str:
    return window.repo


def _figures(synthetic: Scores, real: Scores, threshold: float) -> Json:
    found = detection_metrics(synthetic, real, threshold).as_dict()
    return {name: value if isinstance(value, int) else _rounded(value) for name, value in found.items()}


def _rounded(figure: float | np.floating[Any]) -> float:
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


def _bootstrap(windows: Sequence[Window], scores: Scores) -> Json:
    """95 % intervals of figures without a threshold: whole repositories drawn with replacement, per label."""
    rng = np.random.default_rng(SEED)
    synthetic = np.array([window.synthetic for window in windows])
    sides = [list(_groups(windows, scores, side, _repo).values()) for side in (synthetic, ~synthetic)]
    draws = []
    for _ in range(RESAMPLES):
        positive, negative = (
            np.concatenate([side[place] for place in rng.integers(0, len(side), len(side))]) for side in sides
        )
        found = detection_metrics(positive, negative, threshold=0.5)
        draws.append((found.auroc, found.tpr_at_5))
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    return {
        f"{name}_interval": [_rounded(low[place]), _rounded(high[place])]
        for place, name in enumerate(("auroc", "tpr_at_5"))
    }


def by_side(windows: Sequence[Window], looks: NDArray[np.float64]) -> Json:
    """AUROC among windows of one size, for sizes that many of both labels have: looks (windows, fields)."""
    synthetic = np.array([window.synthetic for window in windows])
    sides = looks[:, SMALLER_SIDE]
    found = {}
    for side in sorted(set(sides.tolist()), reverse=True):
        positive, negative = (looks[(sides == side) & label, LOGIT] for label in (synthetic, ~synthetic))
        if min(len(positive), len(negative)) >= OF_ONE_SIDE:
            area = _rounded(auroc(positive, negative))
            found[f"{side:g}"] = {"real": len(negative), "synthetic": len(positive), "auroc": area}
    return found


def per_fold(windows: Sequence[Window], folds: Mapping[str, int], logits: Scores, threshold: float) -> Json:
    """Figures of every fold alone, by its number."""
    scores = scores_of(logits)
    synthetic = np.array([window.synthetic for window in windows])
    home = np.array([folds[window.repo] for window in windows])
    return {
        str(fold): _figures(
            scores[synthetic & (home == fold)], scores[~synthetic & (home == fold)], threshold
        )
        for fold in range(FOLDS)
    }


def abstaining(
    windows: Sequence[Window],
    looks: NDArray[np.float64],
    qualities: Sequence[int | None],
    rule: Abstention,
    threshold: float,
) -> Json:
    """Errors of one condition over all windows and over those whose evidence has a word.

    Args:
        looks: (windows, fields of `Look`).
        qualities: of the file that a window would be, where it would be a JPEG.
    """
    synthetic = np.array([window.synthetic for window in windows])
    scores = scores_of(looks[:, LOGIT])
    reasons = [
        rule.because(int(side), detail, quality, spread)
        for (_, spread, detail, side), quality in zip(looks.tolist(), qualities, strict=True)
    ]
    silent = np.array([bool(one) for one in reasons])
    return {
        "windows": len(windows),
        "inconclusive": {
            "real": _rounded(silent[~synthetic].mean()),
            "synthetic": _rounded(silent[synthetic].mean()),
        },
        "reasons": dict(sorted(Counter(reason for one in reasons for reason in one).items())),
        "all": _errors(scores, synthetic, np.ones_like(silent), threshold),
        "conclusive": _errors(scores, synthetic, ~silent, threshold),
        "silent": _errors(scores, synthetic, silent, threshold),
    }


def _errors(
    scores: Scores, synthetic: NDArray[np.bool_], chosen: NDArray[np.bool_], threshold: float
) -> Json | None:
    """False positives and misses at the threshold; None where a label has no window."""
    positive, negative = scores[chosen & synthetic], scores[chosen & ~synthetic]
    if not len(positive) or not len(negative):
        return None
    return {
        "real": len(negative),
        "synthetic": len(positive),
        "auroc": _rounded(auroc(positive, negative)),
        "fpr": _rounded((negative >= threshold).mean()),
        "missed": _rounded((positive < threshold).mean()),
    }


def qualities(windows: Sequence[Window], condition: str) -> list[int | None]:
    """JPEG quality of the file that each window is, or would be, under a condition."""
    if condition == "clean":
        return [_quality(window) for window in windows]
    stated = condition.removeprefix("jpeg").strip()
    return [int(stated) if stated.isdigit() else None] * len(windows)


def _quality(window: Window) -> int | None:
    with Image.open(window.corpus / window.file) as image:
        return estimate_jpeg_quality(image)


def sources(windows: Sequence[Window], folds: Mapping[str, int]) -> list[Json]:
    """One row per (repository, label): fold, windows, licences as the repository states them."""
    groups: dict[tuple[str, bool], list[Window]] = {}
    for window in windows:
        groups.setdefault((window.repo, window.synthetic), []).append(window)
    rows = [
        {
            "fold": folds[repo],
            "repository": repo,
            "label": "synthetic" if synthetic else "real",
            "windows": len(some),
            "what": sorted({window.source for window in some}),
            "licence": ", ".join(sorted({window.licence for window in some})),
        }
        for (repo, synthetic), some in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return sorted(rows, key=lambda row: int(str(row["fold"])))


def digest(path: Path) -> str:
    """sha256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_card(corpora: Sequence[Path], weights: Path, work: Path, workers: int) -> Json:
    """Score every window with its fold's weights under all conditions; everything behind the card."""
    windows = read_corpora(corpora)
    folds = fold_of_repo(windows)
    networks = [load(file)[:2] for file in _fold_files(work)]
    scorer = Scorer(networks, folds, list(CONDITIONS.values()))
    looks = np.array(in_processes(scorer, windows, workers, "score"))
    some = spread(windows, HARD_WINDOWS, AT_MOST)
    hard = np.array(in_processes(Scorer(networks, folds, list(HARD.values())), some, workers, "hard cases"))
    return card_of(windows, looks, some, hard, weights, work)


def _fold_files(work: Path) -> list[Path]:
    return [work / FOLD_FILE.format(fold) for fold in range(FOLDS)]


def card_of(
    windows: Sequence[Window],
    looks: NDArray[np.float64],
    some: Sequence[Window],
    hard: NDArray[np.float64],
    weights: Path,
    work: Path,
) -> Json:
    """Everything behind the card.

    Args:
        looks: (windows, CONDITIONS, fields of `Look`), by weights that had no part in a window's repository.
        hard: the same of ``some`` windows under HARD.
    """
    folds, files = fold_of_repo(windows), _fold_files(work)
    encoder, head, metadata = load(weights)
    threshold = float(metadata["threshold"])
    by_condition = dict(zip(CONDITIONS, looks[..., LOGIT].T, strict=True))
    first = np.array([window.corpus == windows[0].corpus for window in windows])
    of_first = [window for window in windows if window.corpus == windows[0].corpus]
    rule = Abstention.from_dict(json.loads(metadata["abstention"]))
    return {
        "name": metadata["name"],
        "version": metadata["version"],
        "licence": metadata["licence"],
        "sha256": digest(weights),
        "parameters": sum(tensor.numel() for module in (encoder, head) for tensor in module.parameters()),
        "card_command": CARD_COMMAND,
        "training": {
            "command": COMMAND,
            "histories": HISTORIES,
            "copies": COPIES,
            **asdict(SETTINGS),
            "certainty_power": CERTAINTY_POWER,
        },
        "importance": _importance(encoder, head),
        "threshold": threshold,
        "threshold_made": THRESHOLD_MADE,
        "folds": [
            {
                "sha256": digest(file),
                "repositories": sorted(repo for repo, home in folds.items() if home == fold),
            }
            for fold, file in enumerate(files)
        ],
        "metrics": _for_catalog(scores_of(by_condition["clean"]), windows, threshold),
        "pooled": {name: measure(windows, some, threshold) for name, some in by_condition.items()},
        "first_corpus": {
            name: measure(of_first, logits[first], threshold) for name, logits in by_condition.items()
        },
        "half_by_side": by_side(windows, looks[:, list(CONDITIONS).index("half")]),
        "abstention": asdict(rule),
        "abstaining": {
            **{
                name: abstaining(windows, seen, qualities(windows, name), rule, threshold)
                for name, seen in zip(CONDITIONS, looks.swapaxes(0, 1), strict=True)
            },
            **{
                name: abstaining(some, seen, qualities(some, name), rule, threshold)
                for name, seen in zip(HARD, hard.swapaxes(0, 1), strict=True)
            },
        },
        "per_fold": {name: per_fold(windows, folds, some, threshold) for name, some in by_condition.items()},
        "sources": sources(windows, folds),
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
        "about": "five folds of its model card, ten crops, as they are; accuracy at its threshold",
    }


def _importance(encoder: MiniEncoder, head: RineHead) -> Json:
    """What the Trainable Importance Estimator gives every depth, mean over its channels."""
    shares = head.alpha.detach().softmax(dim=1).mean(dim=(0, 2))
    return {
        f"{kind}, 1/{2**level}": _rounded(float(share))
        for (level, kind), share in zip(encoder.depths, shares, strict=True)
    }


@click.command()
@corpora_option
@click.option("--weights", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--folds", "work", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--workers", default=2, show_default=True, help="Processes that decode and score.")
def main(corpora: tuple[Path, ...], weights: Path, work: Path, workers: int) -> None:
    """Evaluate the mini detector's folds on all CORPORA; write mini.json and mini.md into WEIGHTS."""
    card = make_card(corpora, weights / FILE, work, workers)
    write_json(weights / "mini.json", card)
    write_text(weights / "mini.md", render(card))


if __name__ == "__main__":
    main()
