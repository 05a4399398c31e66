"""What every ingredient of the bundled detector is worth, and how that grows with repositories.

    python -m sidscan.training.mini.ablations --corpus DIR --corpus MORE --out docs/log/ablations.md

Variants are fitted on four folds and score images of the fifth, in turn, as for the card's figures. Three
things are simpler. Statistics are standardised once, over all windows (which uses no label). Evidence of
different folds is pooled as it is, in standard deviations of photographs, without the logit's slope and bias.
Five crops are read instead of ten; for this encoder the other five are the same, except at odd sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import TypeAlias

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sidscan.images import crops
from sidscan.models.backbones import mini, mini_patterns
from sidscan.models.backbones.mini import MiniEncoder
from sidscan.runtimes import forward
from sidscan.training.common import pixels as pixels_module
from sidscan.training.common.files import write_text
from sidscan.training.common.metrics import Scores, auroc
from sidscan.training.windows import conditions, window_score
from sidscan.training.windows.bootstrap_auroc import BootstrapAuroc
from sidscan.training.windows.cache import cached
from sidscan.training.windows.conditions import CONDITIONS
from sidscan.training.windows.corpus import FOLDS, Window, decode_window, read_corpora
from sidscan.training.windows.options import cache_option, corpora_option
from sidscan.training.windows.parallel import map_windows
from sidscan.training.windows.sampling_weights import sampling_weights
from sidscan.training.windows.window_score import ten_crops
from sidscan.util.progress import track

from . import features
from .ablations_text import CurvePoint, VariantRow, render_ablations
from .features import RECOMPRESSIONS, compute_features, statistics_array
from .fit import SufficientStats, WindowFeatures, discriminants, normalised, standardise, sufficient_stats
from .variants import HARD_PHOTOGRAPHS, PARTS, CropStatistics, FeatureGroup, Variant, variants

NUM_CROPS = 5
HARD_SHARE = 0.1  # share of photographs that counts as hard
HARD_WEIGHT = 3.0  # what one of those weighs
_SEED = 0
_CHUNK = 64  # windows read at a time

FoldPart: TypeAlias = tuple[int, int]
"""A fold and a part of it."""


class ConditionExtractor:
    """(index, window) -> float16 statistics and content weight of five crops under every condition.

    The array is (conditions * NUM_CROPS, statistics + 1). An image with fewer different crops has some twice.
    """

    def __init__(self) -> None:
        self.encoder = MiniEncoder().eval()

    def __call__(self, numbered: tuple[int, Window]) -> NDArray[np.float16]:
        _, window = numbered
        pixels = decode_window(window)
        arrays = []
        for change in CONDITIONS.values():
            _, different, indices = ten_crops(change(pixels), self.encoder.mirror_invariant)
            arrays.append(statistics_array(self.encoder, different)[indices[:NUM_CROPS]])
        return np.concatenate(arrays)


@dataclass(frozen=True)
class AblationData:
    """What variants are fitted to and measured on.

    Attributes:
        features: of degraded windows, to fit to.
        statistics: (windows, conditions * NUM_CROPS, statistics), float16, to measure on.
        content_weight: (windows, conditions * NUM_CROPS).
        parts: (windows,) the part of its repository.
        first: (windows,) whether it is of the first corpus.
    """

    encoder: MiniEncoder
    features: WindowFeatures
    statistics: Tensor
    content_weight: Tensor
    parts: Tensor
    first: Tensor

    def stats(self, features: WindowFeatures, by_part: bool) -> dict[FoldPart, SufficientStats]:
        """Sufficient statistics of every fold and part; all of a fold is part 0 unless ``by_part``."""
        parts = self.parts if by_part else torch.zeros_like(self.parts)
        keys = [(fold, part) for fold in range(FOLDS) for part in range(int(parts.max()) + 1)]
        return {
            key: sufficient_stats(
                self.encoder,
                features.where((features.folds == key[0]) & (parts == key[1]) & (features.weights > 0)),
            )
            for key in track(keys, len(keys), "part", title="sufficient statistics", transient=True)
        }

    def evidence(self, variant: Variant, stats: Mapping[str, Mapping[FoldPart, SufficientStats]]) -> Scores:
        """Evidence of every window under every condition, by fits to the other folds.

        Returns:
            (windows, conditions).
        """
        columns, group_sizes = self._columns(variant.feature_groups)
        evidence = torch.zeros(len(self.statistics), len(CONDITIONS))
        for fold in range(FOLDS):
            inside = torch.nonzero(self.features.folds == fold).flatten()
            for name in variant.fitted_on:
                by_key = stats[name]
                others = [by_key[key] for key in by_key if key[0] != fold and key[1] in variant.parts]
                fitted = discriminants(reduce(add, others).select(columns), variant.config)
                for chunk in torch.split(inside, _CHUNK):
                    values = normalised(self.encoder, self.statistics[chunk])[:, :, columns]
                    crop_statistics = CropStatistics(
                        values.flatten(0, 1), self.content_weight[chunk].flatten(), group_sizes
                    )
                    pooled = variant.readout(crop_statistics, fitted, variant.config)
                    pooled /= len(variant.fitted_on)
                    evidence[chunk] += pooled.reshape(len(chunk), len(CONDITIONS), NUM_CROPS).mean(dim=2)
        return evidence.double().numpy()

    def _columns(self, wanted: frozenset[FeatureGroup]) -> tuple[Tensor, list[int]]:
        """Columns of the statistics of some feature groups, and the size of each group."""
        groups = torch.split(torch.arange(sum(self.encoder.group_sizes)), self.encoder.group_sizes)
        chosen = [
            columns
            for columns, group in zip(groups, self.encoder.feature_groups, strict=True)
            if group in wanted
        ]
        return torch.cat(chosen), [len(columns) for columns in chosen]


def training_sets(data: AblationData) -> dict[str, Callable[[], WindowFeatures]]:
    """What variants are fitted to, by name. The hard photographs are missing: a first fit must find them."""
    full = data.features
    random = full.statistics.shape[1] - RECOMPRESSIONS
    copies = list(range(random, random + RECOMPRESSIONS))
    subsets: dict[str, list[int]] = {
        "2 of 8 degradations, and the JPEG copies": [0, 1, *copies],
        "no further JPEG copies": list(range(random)),
        "further JPEG copies alone": copies,
        "degradations 1 to 4, and the JPEG copies": [*range(random // 2), *copies],
        "degradations 5 to 8, and the JPEG copies": [*range(random // 2, random), *copies],
    }

    def subset(columns: list[int]) -> WindowFeatures:
        return replace(
            full, statistics=full.statistics[:, columns], content_weight=full.content_weight[:, columns]
        )

    def weighted(power: float) -> WindowFeatures:
        weights = sampling_weights((full.labels > 0).tolist(), full.repos.tolist(), power)
        return replace(full, weights=weights)

    sets: dict[str, Callable[[], WindowFeatures]] = {
        name: partial(subset, columns) for name, columns in subsets.items()
    }
    sets["no degradations: windows as they are"] = lambda: replace(
        full, statistics=data.statistics[:, :NUM_CROPS], content_weight=data.content_weight[:, :NUM_CROPS]
    )
    sets["every window weighs alike"] = partial(weighted, 1.0)
    sets["every repository weighs alike"] = partial(weighted, 0.0)
    sets["first corpus alone"] = lambda: replace(full, weights=full.weights * data.first)
    return sets


def hard_weights(features: WindowFeatures, evidence: Scores) -> Tensor:
    """Weights where the photographs with the highest evidence (windows,) count HARD_WEIGHT times.

    The evidence of each photograph is by fits to all folds but its own. So the choice has seen the fold that
    is measured next, and may flatter.
    """
    real = (features.labels == 0).numpy()
    hard = real & (evidence >= np.quantile(evidence[real], 1 - HARD_SHARE))
    return features.weights * torch.where(torch.from_numpy(hard), HARD_WEIGHT, 1.0)


def assign_parts(features: WindowFeatures) -> Tensor:
    """The part of every window's repository, (windows,).

    The repositories of every fold are dealt at random, first those with synthetic images, then the others.
    """
    rng = np.random.default_rng(_SEED)
    repos, labels = features.repos.numpy(), features.labels.numpy() > 0
    parts = torch.zeros(len(repos), dtype=torch.long)
    for fold in range(FOLDS):
        inside = features.folds.numpy() == fold
        with_synthetic = np.unique(repos[inside & labels])
        others = np.setdiff1d(repos[inside], with_synthetic)
        for names in (with_synthetic, others):
            for number, repo in enumerate(rng.permutation(names)):
                parts[features.repos == int(repo)] = number % PARTS
    return parts


def part_choices() -> Iterator[list[tuple[int, ...]]]:
    """Choices of an eighth, a quarter, a half and all of the parts, which overlap as little as they can."""
    for count in (1, 2, 4, PARTS):
        step = max(count, PARTS // 4)
        yield [tuple(range(start, start + count)) for start in range(0, PARTS, step)]


def variant_rows(
    data: AblationData, evidence_of: Mapping[str, Scores], chosen: NDArray[np.bool_]
) -> list[VariantRow]:
    """Figures of every variant over the chosen windows; differences to the first, with intervals."""
    synthetic = (data.features.labels > 0).numpy()[chosen]
    repos = data.features.repos.numpy()[chosen]
    rows: list[VariantRow] = []
    reference: list[Scores] = []
    for name, evidence in evidence_of.items():
        rng = np.random.default_rng(_SEED)  # the same repositories for every row: differences are paired
        areas, tprs, intervals = [], [], []
        for condition, values in enumerate(evidence[chosen].T):
            resampled = BootstrapAuroc(values, synthetic, repos).resampled(rng)
            if not rows:
                reference.append(resampled)
            differences = resampled - reference[condition] if rows else resampled
            low, high = np.quantile(differences, (0.025, 0.975))
            areas.append(auroc(values[synthetic], values[~synthetic]))
            tprs.append(float((values[synthetic] > np.quantile(values[~synthetic], 0.95)).mean()))
            intervals.append((float(low), float(high)))
        rows.append(VariantRow(name, tuple(areas), tuple(intervals), tuple(tprs)))
    return rows


def learning_curve(data: AblationData, stats: Mapping[FoldPart, SufficientStats]) -> list[CurvePoint]:
    """AUROC of fits to some of the repositories alone; one point for each number of parts."""
    labels = data.features.labels > 0, data.features.labels == 0
    synthetic, repos = labels[0].numpy(), data.features.repos.numpy()
    points = []
    all_choices = list(part_choices())
    for choices in track(all_choices, len(all_choices), "point", title="learning curve"):
        fitted, areas, resampled = [], [], []
        for parts in choices:
            evidence = data.evidence(Variant("", parts=parts), {"all": stats})
            inside = torch.isin(data.parts, torch.tensor(parts)).numpy()
            fitted.append([len(np.unique(repos[inside & label.numpy()])) for label in labels])
            areas.append([auroc(values[synthetic], values[~synthetic]) for values in evidence.T])
            rng = np.random.default_rng(_SEED)  # the same repositories for every choice and number
            resampled.append(
                [BootstrapAuroc(values, synthetic, repos).resampled(rng) for values in evidence.T]
            )
        low, high = np.quantile(np.mean(resampled, axis=0), (0.025, 0.975), axis=1)
        points.append(
            CurvePoint(
                tuple((np.mean(fitted, axis=0) * (FOLDS - 1) / FOLDS).tolist()),
                len(choices),
                tuple(np.mean(areas, axis=0).tolist()),
                tuple(zip(low.tolist(), high.tolist(), strict=True)),
            )
        )
    return points


def load_data(windows: Sequence[Window], cache: Path | None, workers: int) -> AblationData:
    """Everything that is computed once for all variants."""
    training = compute_features(windows, workers, cache)
    arrays = cached(
        lambda: np.stack(map_windows(ConditionExtractor(), windows, workers, "conditions")),
        cache,
        "conditions",
        windows,
        (
            *(mini, mini_patterns, conditions, window_score, pixels_module, crops, forward, features),
            *(ConditionExtractor, f"{NUM_CROPS} crops"),
        ),
    )
    encoder = MiniEncoder().eval()
    standardise(encoder, training)
    first = torch.tensor([window.corpus == windows[0].corpus for window in windows])
    statistics, weight = torch.from_numpy(arrays[..., :-1]), torch.from_numpy(arrays[..., -1]).float()
    return AblationData(encoder, training, statistics, weight, assign_parts(training), first)


def run_variants(data: AblationData) -> tuple[dict[str, Scores], list[CurvePoint]]:
    """Evidence of every variant by its name, (windows, conditions) each; and the learning curve."""
    by_part = data.stats(data.features, by_part=True)
    points = learning_curve(data, by_part)
    shipped = {
        (fold, 0): reduce(add, [by_part.pop((fold, part)) for part in range(PARTS)]) for fold in range(FOLDS)
    }
    evidence_of: dict[str, Scores] = {}
    sets = training_sets(data)
    all_variants = list(variants())
    for variant in track(all_variants, len(all_variants), "variant", title="variants"):
        stats: dict[str, Mapping[FoldPart, SufficientStats]] = {}
        for name in variant.fitted_on:
            if name == "all":
                stats[name] = shipped
            elif name == HARD_PHOTOGRAPHS:
                weights = hard_weights(data.features, evidence_of["as shipped"][:, 0])
                stats[name] = data.stats(replace(data.features, weights=weights), by_part=False)
            else:
                stats[name] = data.stats(sets[name](), by_part=False)
        evidence_of[variant.name] = data.evidence(variant, stats)
    return evidence_of, points


@click.command(help=__doc__)
@corpora_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@cache_option
@click.option("--workers", default=2, show_default=True, help="Processes that decode and compute features.")
def ablations_command(corpora: tuple[Path, ...], out: Path, cache: Path | None, workers: int) -> None:
    """Write the tables."""
    windows = read_corpora(corpora)
    for synthetic in (True, False):
        if len({window.repo for window in windows if window.synthetic is synthetic}) < FOLDS * PARTS:
            raise click.UsageError(f"the learning curve needs {FOLDS * PARTS} repositories of each label")
    data = load_data(windows, cache, workers)
    evidence_of, points = run_variants(data)
    all_windows = np.ones(len(data.first), dtype=bool)
    all_rows = variant_rows(data, evidence_of, all_windows)
    first_rows = variant_rows(data, evidence_of, data.first.numpy())
    write_text(out, render_ablations(all_rows, first_rows, points))


if __name__ == "__main__":
    ablations_command()
