"""What every ingredient of the bundled detector is worth, and how that grows with repositories.

    python -m sidscan.training.mini.ablations --corpus DIR --corpus MORE --out docs/log/ablations.md

Variants are fitted on four folds and read pictures of the fifth, in turn, as the card's figures are made.
Three things are simpler: statistics are standardised once, over all windows (which takes no label); evidence
of different folds is pooled as it is, in standard deviations of photographs, without the logit's line; and
five crops are read instead of ten, which are the same for this encoder but for odd sides.
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
from tqdm import tqdm

from sidscan.images import crops
from sidscan.models.backbones import mini, mini_patterns
from sidscan.models.backbones.mini import MiniEncoder
from sidscan.runtimes import forward
from sidscan.training.common.files import write_text
from sidscan.training.common.metrics import Scores, auroc

from . import conditions, features
from .ablations_text import Point, Row, render
from .bootstrap_auroc import Wins
from .cache import kept
from .conditions import CONDITIONS
from .corpus import FOLDS, Window, decode, read_corpora
from .features import COPIES, describe, side_by_side, ten_crops, weights_of
from .fit import Described, Sums, discriminants, normalised, standardise, sums
from .processes import in_processes
from .train import corpora_option, keep_option
from .variants import HARD_NAME, PARTS, Crops, Depth, Variant, variants

CROPS = 5
SEED = 0
CHUNK = 64  # windows read at a time
HARD = 0.1  # share of photographs that counts as hard
HARD_WEIGHT = 3.0  # what one of those weighs

Group: TypeAlias = tuple[int, int]
"""A fold and a part of it."""


class Seen:
    """(index, window) -> float16 statistics and certainty of five crops under every condition.

    (conditions * CROPS, statistics + 1). A picture that shows fewer different crops has some twice.
    """

    def __init__(self) -> None:
        self.encoder = MiniEncoder().eval()

    def __call__(self, numbered: tuple[int, Window]) -> NDArray[np.float16]:
        _, window = numbered
        pixels = decode(window)
        found = []
        for change in CONDITIONS.values():
            _, passed, places = ten_crops(change(pixels), self.encoder)
            found.append(side_by_side(self.encoder, passed)[places[:CROPS]])
        return np.concatenate(found)


@dataclass(frozen=True)
class Study:
    """All that variants are fitted and measured on.

    Attributes:
        seen: (windows, conditions * CROPS, statistics), float16.
        certainty: (windows, conditions * CROPS).
        parts: (windows,) the part of its repository.
        first: (windows,) whether it is of the first corpus.
    """

    encoder: MiniEncoder
    described: Described
    seen: Tensor
    certainty: Tensor
    parts: Tensor
    first: Tensor

    def groups(self, chosen: Described, divided: bool) -> dict[Group, Sums]:
        """Sums of every fold and part; of every fold as its part 0 where not ``divided``."""
        parts = self.parts if divided else torch.zeros_like(self.parts)
        keys = [(fold, part) for fold in range(FOLDS) for part in range(int(parts.max()) + 1)]
        return {
            key: sums(
                self.encoder,
                chosen.where((chosen.folds == key[0]) & (parts == key[1]) & (chosen.weights > 0)),
            )
            for key in tqdm(keys, desc="sums", leave=False)
        }

    def evidence(self, variant: Variant, known: Mapping[str, Mapping[Group, Sums]]) -> Scores:
        """Of every window under every condition, by what was fitted on other folds: (windows, conditions)."""
        columns, widths = self._columns(variant.depths)
        found = torch.zeros(len(self.seen), len(CONDITIONS))
        for fold in range(FOLDS):
            inside = torch.nonzero(self.described.folds == fold).flatten()
            for source in variant.sources:
                groups = known[source]
                others = [groups[key] for key in groups if key[0] != fold and key[1] in variant.parts]
                fitted = discriminants(reduce(add, others).of(columns), variant.settings)
                for chunk in torch.split(inside, CHUNK):
                    values = normalised(self.encoder, self.seen[chunk])[:, :, columns]
                    crops = Crops(values.flatten(0, 1), self.certainty[chunk].flatten(), widths)
                    read = variant.readout(crops, fitted, variant.settings) / len(variant.sources)
                    found[chunk] += read.reshape(len(chunk), len(CONDITIONS), CROPS).mean(dim=2)
        return found.double().numpy()

    def _columns(self, wanted: frozenset[Depth]) -> tuple[Tensor, list[int]]:
        """Places of the statistics of some depths, and how many each depth has."""
        places = torch.split(torch.arange(sum(self.encoder.widths)), self.encoder.widths)
        chosen = [place for place, depth in zip(places, self.encoder.depths, strict=True) if depth in wanted]
        return torch.cat(chosen), [len(place) for place in chosen]


def treatments(study: Study) -> dict[str, Callable[[], Described]]:
    """What variants are fitted on, by name, but for the hard photographs, which a first fit must find."""
    full = study.described
    random = full.statistics.shape[1] - COPIES
    copies = list(range(random, random + COPIES))
    some: dict[str, list[int]] = {
        "2 of 8 histories, and the JPEG copies": [0, 1, *copies],
        "no further JPEG copies": list(range(random)),
        "further JPEG copies alone": copies,
        "histories 1 to 4, and the JPEG copies": [*range(random // 2), *copies],
        "histories 5 to 8, and the JPEG copies": [*range(random // 2, random), *copies],
    }

    def cut_to(places: list[int]) -> Described:
        return replace(full, statistics=full.statistics[:, places], certainty=full.certainty[:, places])

    def weighted(power: float) -> Tensor:
        return weights_of((full.labels > 0).tolist(), full.repos.tolist(), power)

    made: dict[str, Callable[[], Described]] = {name: partial(cut_to, place) for name, place in some.items()}
    made["no histories: windows as they are"] = lambda: replace(
        full, statistics=study.seen[:, :CROPS], certainty=study.certainty[:, :CROPS]
    )
    made["every window weighs alike"] = lambda: replace(full, weights=weighted(1.0))
    made["every repository weighs alike"] = lambda: replace(full, weights=weighted(0.0))
    made["first corpus alone"] = lambda: replace(full, weights=full.weights * study.first)
    return made


def hard_weights(described: Described, evidence: Scores) -> Tensor:
    """Photographs that read highest of all, evidence (windows,), weigh HARD_WEIGHT times.

    The evidence of each is by fits that saw all folds but its own, so the choice is not quite blind to the
    fold that is then measured, and may flatter.
    """
    real = (described.labels == 0).numpy()
    hard = real & (evidence >= np.quantile(evidence[real], 1 - HARD))
    return described.weights * torch.where(torch.from_numpy(hard), HARD_WEIGHT, 1.0)


def divided(described: Described) -> Tensor:
    """The part of every window's repository, (windows,).

    Those of every fold are dealt at random, first the ones with synthetic pictures, then the others.
    """
    rng = np.random.default_rng(SEED)
    repos, labels = described.repos.numpy(), described.labels.numpy() > 0
    parts = torch.zeros(len(repos), dtype=torch.long)
    for fold in range(FOLDS):
        inside = described.folds.numpy() == fold
        with_synthetic = np.unique(repos[inside & labels])
        others = np.setdiff1d(repos[inside], with_synthetic)
        for some in (with_synthetic, others):
            for turn, repo in enumerate(rng.permutation(some)):
                parts[described.repos == int(repo)] = turn % PARTS
    return parts


def curve_parts() -> Iterator[list[tuple[int, ...]]]:
    """Choices of an eighth, a quarter, a half and all of the parts, which share as little as they can."""
    for count in (1, 2, 4, PARTS):
        step = max(count, PARTS // 4)
        yield [tuple(range(start, start + count)) for start in range(0, PARTS, step)]


def table(study: Study, found: Mapping[str, Scores], chosen: NDArray[np.bool_]) -> list[Row]:
    """Figures of every variant over some windows; differences to the first, with intervals."""
    synthetic = (study.described.labels > 0).numpy()[chosen]
    repos = study.described.repos.numpy()[chosen]
    rows: list[Row] = []
    reference: list[Scores] = []
    for name, evidence in found.items():
        rng = np.random.default_rng(SEED)  # the same repositories for every row: differences are paired
        areas, tprs, differences = [], [], []
        for place, values in enumerate(evidence[chosen].T):
            wins = Wins(values, synthetic, repos)
            drawn = wins.resampled(rng)
            if not rows:
                reference.append(drawn)
            low, high = np.quantile(drawn - reference[place] if rows else drawn, (0.025, 0.975))
            areas.append(auroc(values[synthetic], values[~synthetic]))
            tprs.append(float((values[synthetic] > np.quantile(values[~synthetic], 0.95)).mean()))
            differences.append((float(low), float(high)))
        rows.append(Row(name, tuple(areas), tuple(differences), tuple(tprs)))
    return rows


def learning_curve(study: Study, groups: Mapping[Group, Sums]) -> list[Point]:
    """AUROC where only some of the repositories are fitted on; one point for each number of parts."""
    sides = study.described.labels > 0, study.described.labels == 0
    synthetic, repos = sides[0].numpy(), study.described.repos.numpy()
    points = []
    for choices in tqdm(list(curve_parts()), desc="learning curve"):
        fitted, areas, resampled = [], [], []
        for parts in choices:
            evidence = study.evidence(Variant("", parts=parts), {"all": groups})
            inside = torch.isin(study.parts, torch.tensor(parts)).numpy()
            fitted.append([len(np.unique(repos[inside & side.numpy()])) for side in sides])
            areas.append([auroc(values[synthetic], values[~synthetic]) for values in evidence.T])
            rng = np.random.default_rng(SEED)  # the same repositories for every choice and number
            resampled.append([Wins(values, synthetic, repos).resampled(rng) for values in evidence.T])
        low, high = np.quantile(np.mean(resampled, axis=0), (0.025, 0.975), axis=1)
        points.append(
            Point(
                tuple((np.mean(fitted, axis=0) * (FOLDS - 1) / FOLDS).tolist()),
                len(choices),
                tuple(np.mean(areas, axis=0).tolist()),
                tuple(zip(low.tolist(), high.tolist(), strict=True)),
            )
        )
    return points


def study_of(windows: Sequence[Window], keep: Path | None, workers: int) -> Study:
    """All that is described once."""
    training = describe(windows, workers, keep)
    seen = kept(
        lambda: np.stack(in_processes(Seen(), windows, workers, "see")),
        keep,
        "seen",
        windows,
        (mini, mini_patterns, conditions, crops, forward, features, Seen, f"{CROPS} crops"),
    )
    encoder = MiniEncoder().eval()
    standardise(encoder, training)
    first = torch.tensor([window.corpus == windows[0].corpus for window in windows])
    statistics, certainty = torch.from_numpy(seen[..., :-1]), torch.from_numpy(seen[..., -1]).float()
    return Study(encoder, training, statistics, certainty, divided(training), first)


def measure(study: Study) -> tuple[dict[str, Scores], list[Point]]:
    """Evidence of every variant, and the learning curve."""
    parts = study.groups(study.described, divided=True)
    points = learning_curve(study, parts)
    groups = {
        (fold, 0): reduce(add, [parts.pop((fold, part)) for part in range(PARTS)]) for fold in range(FOLDS)
    }
    found: dict[str, Scores] = {}
    made = treatments(study)
    for variant in tqdm(list(variants()), desc="variants"):
        known: dict[str, Mapping[Group, Sums]] = {}
        for source in variant.sources:
            if source == "all":
                known[source] = groups
            elif source == HARD_NAME:
                weights = hard_weights(study.described, found["as shipped"][:, 0])
                known[source] = study.groups(replace(study.described, weights=weights), divided=False)
            else:
                known[source] = study.groups(made[source](), divided=False)
        found[variant.name] = study.evidence(variant, known)
    return found, points


@click.command(help=__doc__)
@corpora_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@keep_option
@click.option("--workers", default=2, show_default=True, help="Processes that decode and describe.")
def main(corpora: tuple[Path, ...], out: Path, keep: Path | None, workers: int) -> None:
    """Write the tables."""
    windows = read_corpora(corpora)
    for synthetic in (True, False):
        if len({window.repo for window in windows if window.synthetic is synthetic}) < FOLDS * PARTS:
            raise click.UsageError(f"the learning curve needs {FOLDS * PARTS} repositories of each label")
    study = study_of(windows, keep, workers)
    found, points = measure(study)
    everything = np.ones(len(study.first), dtype=bool)
    write_text(out, render(table(study, found, everything), table(study, found, study.first.numpy()), points))


if __name__ == "__main__":
    main()
