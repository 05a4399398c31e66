"""What every ingredient of the bundled detector is worth, and how that grows with repositories.

    python -m sidscan.training.ablations --corpus DIR --corpus MORE --out docs/detector-ablations.md

Variants are fitted on four folds and read pictures of the fifth, in turn, as the card's figures are made.
Three things are simpler: statistics are standardised once, over all windows (which takes no label); evidence
of different folds is pooled as it is, in standard deviations of photographs, without the logit's line; and
five crops are read instead of ten, which are the same for this encoder but for odd sides.
"""

from __future__ import annotations

import itertools
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
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from sidscan.models.backbones import mini
from sidscan.models.backbones.mini import KINDS, LEVELS, LOOKS, MiniEncoder
from sidscan.readers import views
from sidscan.readers.decode import Picture
from sidscan.readers.views import cut
from sidscan.runtimes import networks, passes
from sidscan.runtimes.networks import pick

from . import conditions
from .ablations_text import Point, Row, render
from .conditions import CONDITIONS
from .corpus import FOLDS, Window, decode, read_corpora
from .described import COPIES, describe, side_by_side
from .files import write_text
from .kept import kept
from .metrics import Scores, auroc
from .mini import corpora_option, keep_option
from .mini_fit import (
    SETTINGS,
    Described,
    Discriminants,
    Settings,
    Sums,
    deviations,
    discriminants,
    normalised,
    standardise,
    sums,
    verdict,
)
from .processes import in_processes

CROPS = 5
PARTS = 8  # of every fold's repositories, for the learning curve
RESAMPLES = 2000  # bootstrap draws of whole repositories
SEED = 0
CHUNK = 64  # windows read at a time
HARD = 0.1  # share of photographs that counts as hard
HARD_WEIGHT = 3.0  # what one of those weighs
HARD_NAME = "the tenth of photographs that reads highest weighs thrice"

DEPTHS = (*itertools.product(range(LEVELS), KINDS), (LEVELS, LOOKS))

Group: TypeAlias = tuple[int, int]
"""A fold and a part of it."""
Depth: TypeAlias = tuple[int, str]
"""A level and a kind, as the encoder has them."""


@dataclass(frozen=True)
class Crops:
    """Some crops, as a readout sees them.

    Attributes:
        statistics: (n, statistics), standardised.
        certainty: (n,).
        widths: how many statistics each depth has.
    """

    statistics: Tensor
    certainty: Tensor
    widths: Sequence[int]


Readout: TypeAlias = Callable[[Crops, Discriminants, Settings], Tensor]
"""Crops -> evidence (n,)."""


class Seen:
    """(index, window) -> float16 statistics of five crops under every condition, and their certainty:
    (conditions * CROPS, statistics + 1).

    A picture that shows fewer different crops has some twice.
    """

    def __init__(self) -> None:
        self.encoder = MiniEncoder().eval()

    def __call__(self, numbered: tuple[int, Window]) -> NDArray[np.float16]:
        _, window = numbered
        pixels = decode(window)
        found = []
        for change in CONDITIONS.values():
            seen = cut(Picture(Image.fromarray(change(pixels)), "window", ()), "ten")
            needed, places = passes(seen.order, self.encoder.mirror_invariant)
            statistics = side_by_side(self.encoder, pick(torch.from_numpy(seen.crops), needed))
            found.append(statistics[places[:CROPS]])
        return np.concatenate(found)


def readings(crops: Crops, found: Discriminants) -> Tensor:
    """(n, schools), scaled as the encoder scales features."""
    read = crops.statistics @ found.directions.T - found.directions @ found.mean
    return read * crops.certainty[:, None]


def as_shipped(crops: Crops, found: Discriminants, settings: Settings) -> Tensor:
    """The verdict of the product."""
    return verdict(readings(crops, found), settings)


def certain(crops: Crops, found: Discriminants, settings: Settings) -> Tensor:
    """The verdict where a small picture counts as much as any."""
    return as_shipped(replace(crops, certainty=torch.ones_like(crops.certainty)), found, settings)


def highest_and_mean(crops: Crops, found: Discriminants, _: Settings) -> Tensor:
    """Version 3's."""
    read = readings(crops, found)
    return read.amax(dim=1) + read.mean(dim=1)


def consensus(crops: Crops, found: Discriminants, _: Settings) -> Tensor:
    """The mean of all schools' readings, which is one discriminant."""
    return readings(crops, found).mean(dim=1)


def alike(crops: Crops, found: Discriminants, settings: Settings) -> Tensor:
    """The verdict where every depth's share has one size over photographs: no importance estimator."""
    rescaled = found.directions.clone()
    for place in torch.split(torch.arange(len(found.mean)), list(crops.widths)):
        rescaled[:, place] /= deviations(rescaled[:, place], found.spread[place][:, place])[:, None]
    rescaled /= deviations(rescaled, found.spread)[:, None]
    return as_shipped(crops, replace(found, directions=rescaled), settings)


@dataclass(frozen=True)
class Variant:
    """One row.

    Attributes:
        depths: those that it has.
        sources: the sums that it is fitted on; several are fitted apart and their evidence averaged.
        parts: those of the fitted folds.
    """

    name: str
    readout: Readout = as_shipped
    settings: Settings = SETTINGS
    depths: frozenset[Depth] = frozenset(DEPTHS)
    sources: tuple[str, ...] = ("all",)
    parts: tuple[int, ...] = tuple(range(PARTS))


def variants() -> Iterator[Variant]:
    """All rows of the table, the shipped detector first. What they are fitted on: see `treatments`."""
    yield Variant("as shipped")
    for kind in (*KINDS, LOOKS):
        yield Variant(f"without {kind}", depths=frozenset(depth for depth in DEPTHS if depth[1] != kind))
    for level in range(LEVELS):
        yield Variant(
            f"without 1/{2**level}", depths=frozenset(depth for depth in DEPTHS if depth[0] != level)
        )
    yield Variant("full resolution alone", depths=frozenset(depth for depth in DEPTHS if depth[0] == 0))
    yield Variant("every depth as important (no importance estimator)", readout=alike)
    yield Variant("small pictures count as much as any", readout=certain)
    yield Variant("one discriminant (mean of the readings)", readout=consensus)
    yield Variant("highest reading and the mean", readout=highest_and_mean)
    for bar in (1.0, 3.0):
        yield Variant(f"bar {bar:g}", settings=replace(SETTINGS, bar=bar))
    for penalty in (0.01, 0.1, 0.5):
        yield Variant(f"penalty {penalty:g}", settings=replace(SETTINGS, penalty=penalty))
    for share in (0.0, 0.5):
        yield Variant(
            f"of the covariance {share:.0%} synthetic", settings=replace(SETTINGS, synthetic_share=share)
        )
    for shrinkage in (0.0, 40.0):
        yield Variant(
            f"schools shrunk by {shrinkage:g} windows", settings=replace(SETTINGS, shrinkage=shrinkage)
        )
    for source in (
        "no histories: windows as they are",
        "2 of 8 histories, and the JPEG copies",
        "no further JPEG copies",
        "further JPEG copies alone",
        "every window weighs alike",
        "every repository weighs alike",
        HARD_NAME,
        "first corpus alone",
    ):
        yield Variant(source, sources=(source,))
    halves = ("histories 1 to 4, and the JPEG copies", "histories 5 to 8, and the JPEG copies")
    yield Variant(halves[0], sources=halves[:1])
    yield Variant("two detectors of half the histories each and the JPEG copies, averaged", sources=halves)


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

    made: dict[str, Callable[[], Described]] = {name: partial(cut_to, place) for name, place in some.items()}
    made["no histories: windows as they are"] = lambda: replace(
        full, statistics=study.seen[:, :CROPS], certainty=study.certainty[:, :CROPS]
    )
    made["every window weighs alike"] = lambda: replace(full, weights=weighted(full, 1.0))
    made["every repository weighs alike"] = lambda: replace(full, weights=weighted(full, 0.0))
    made["first corpus alone"] = lambda: replace(full, weights=full.weights * study.first)
    return made


def weighted(described: Described, power: float) -> Tensor:
    """Weights (windows,): n windows of one repository and label weigh n ** power, both labels alike."""
    weights = torch.empty(len(described.labels))
    for label in (0.0, 1.0):
        chosen = described.labels == label
        repos = described.repos[chosen].numpy()
        _, places, counts = np.unique(repos, return_inverse=True, return_counts=True)
        own = torch.from_numpy(counts[places].astype(np.float32) ** (power - 1))
        weights[chosen] = own / own.sum()
    return weights


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


class Wins:
    """AUROC of some evidence, for any resample of repositories, from counts of pairs in the right order.

    Attributes:
        pairs: (synthetic repositories, real ones), wins of every pair's windows, ties counting half.
        sizes: windows of each, (synthetic repositories,) and (real ones,).
    """

    def __init__(self, evidence: Scores, synthetic: NDArray[np.bool_], repos: NDArray[np.int64]) -> None:
        sides = []
        for chosen in (synthetic, ~synthetic):
            order = np.argsort(repos[chosen], kind="stable")
            names, starts, counts = np.unique(repos[chosen][order], return_index=True, return_counts=True)
            sides.append((names, evidence[chosen][order], starts, counts))
        (self.synthetic, positive, starts, n), (self.real, negative, edges, m) = sides
        per_window = np.stack(
            [np.searchsorted(np.sort(some), positive) for some in np.split(negative, edges[1:])]
        )
        upto = np.stack(
            [np.searchsorted(np.sort(some), positive, "right") for some in np.split(negative, edges[1:])]
        )
        self.pairs = np.add.reduceat((per_window + upto) / 2, starts, axis=1).T
        self.sizes = n, m

    def resampled(self, rng: np.random.Generator) -> Scores:
        """AUROC of every resample, whole repositories drawn with replacement for each label: (RESAMPLES,)."""
        return self.auroc(draws(len(self.synthetic), rng), draws(len(self.real), rng))

    def auroc(self, positive: Scores, negative: Scores) -> Scores:
        """(draws,) where a repository comes so many times: (draws, synthetic), (draws, real)."""
        wins = ((positive @ self.pairs) * negative).sum(axis=1)
        found: Scores = wins / ((positive @ self.sizes[0]) * (negative @ self.sizes[1]))
        return found


def draws(count: int, rng: np.random.Generator) -> Scores:
    """How often each of ``count`` repositories comes in every resample, (RESAMPLES, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(float)


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
    described = describe(windows, workers, keep)
    seen = kept(
        lambda: np.stack(in_processes(Seen(), windows, workers, "see")),
        keep,
        "seen",
        windows,
        (mini, conditions, views, networks, Seen, side_by_side, f"{CROPS} crops"),
    )
    encoder = MiniEncoder().eval()
    standardise(encoder, described)
    first = torch.tensor([window.corpus == windows[0].corpus for window in windows])
    statistics, certainty = torch.from_numpy(seen[..., :-1]), torch.from_numpy(seen[..., -1]).float()
    return Study(encoder, described, statistics, certainty, divided(described), first)


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
