"""Studies: many heads from one pass of the encoder: the grid, ablations, long runs, set sizes, seeds.

Every head becomes a checkpoint of its own, so that `sidscan evaluate` and `sidscan scan` take it as they take
any other; `heads.csv` says how each did in training.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from sidscan.errors import UsageError
from sidscan.models import checkpoints
from sidscan.models.checkpoints import Checkpoint
from sidscan.training.common.files import make_folder, replacing
from sidscan.util.terminal import Echo

from . import recipe as recipes
from .examples import Layout
from .fit import Shape, build, schedule_key
from .recipe import Recipe
from .run import Run, Unfinished
from .train import Prepared, TrainConfig, new_run, prepare, write_checkpoint

Study = Literal["grid", "ablations", "epochs", "set-sizes", "seeds"]
TABLE = "heads.csv"
BYTES_PER_WEIGHT = 16  # weight, gradient and Adam's two means, in fp32


def recipes_of(study: Study, base: Recipe, seeds: int, layout: Layout = "cnndetection") -> list[Recipe]:
    """The recipes that a study compares; every one from ``seeds`` seeds.

    Raises:
        UsageError: the study is of RINE's head, and ``base`` is another.
    """
    made = {
        "grid": recipes.ldm_grid if layout == "ldm" else recipes.grid,
        "ablations": recipes.ablations,
        "epochs": recipes.long_runs,
        "set-sizes": recipes.set_sizes,
    }
    kinds = made[study](base) if study in made else [base]
    return [seeded for kind in kinds for seeded in recipes.seeds(kind, seeds)]


def run_study(
    config: TrainConfig, wanted: Sequence[Recipe], out: Path, say: Echo, fresh: bool = False
) -> tuple[Path, int]:
    """Fit all recipes on the readings of ``config`` and write their checkpoints into the folder ``out``.

    Recipes that see the same batches are fitted side by side, and a run of many epochs gives the heads of
    fewer on its way. What an interrupted study finished is not done again; what it had begun goes on.

    Returns:
        the table, and how many pictures could not be read and were left out.

    Raises:
        UsageError: ``out`` holds heads of other data or settings; or two recipes have one name.
        OutputError: something can't be written.
        KeyboardInterrupt: asked to stop; what was done is kept.
    """
    if len({recipe.label for recipe in wanted}) < len(wanted):
        raise UsageError("the study has several heads of one name")
    make_folder(out)
    prepared = prepare(config, say)
    left_out = 0
    for group in groups(wanted, prepared.encoder.shape, memory(prepared.encoder.device)):
        run = _fit(prepared, group, out, say, fresh)
        left_out = max(left_out, run.left_out)
    return write_table(out, wanted), left_out


def _fit(prepared: Prepared, group: Sequence[Recipe], out: Path, say: Echo, fresh: bool) -> Run:
    """One group of recipes that see the same batches, from the longest of each."""
    longest = {replace(recipe, epochs=1): recipe for recipe in sorted(group, key=lambda r: r.epochs)}
    run = new_run(prepared, list(longest.values()))
    unfinished = Unfinished(out / f"{run.key()[:16]}.unfinished")
    if fresh:
        unfinished.remove()
    elif _all_there(out, group, run.key()):
        say(f"{len(group)} heads are there already (--fresh starts over)")
        return run
    say(f"fitting {len(longest)} heads together")

    def write(epochs: int) -> None:
        """Those of so many epochs."""
        for recipe, checkpoint in zip(run.recipes, run.checkpoints(), strict=True):
            if replace(recipe, epochs=epochs) in group:
                write_checkpoint(_file(out, replace(recipe, epochs=epochs)), checkpoint)

    run.go(unfinished, say, write)
    unfinished.remove()
    return run


def _all_there(out: Path, group: Sequence[Recipe], key: str) -> bool:
    """Whether every head is there, of this very run.

    Raises:
        UsageError: one is there of another.
    """
    files = [path for path in (_file(out, recipe) for recipe in group) if path.exists()]
    for path in files:
        if checkpoints.read_checkpoint(path)[0].facts.get("run") != key:
            raise UsageError(
                f"{path} is of other data, encoder, versions or settings",
                "Choose another --out, or replace it with --fresh.",
            )
    return len(files) == len(group)


def groups(wanted: Iterable[Recipe], shape: Shape, budget: int) -> Iterator[list[Recipe]]:
    """Recipes that see the same batches, as many together as ``budget`` bytes hold the weights of."""
    alike: dict[tuple[object, ...], list[Recipe]] = {}
    for recipe in wanted:
        alike.setdefault(schedule_key(replace(recipe, epochs=1)), []).append(recipe)
    for some in alike.values():
        group: list[Recipe] = []
        total = 0
        for recipe in some:
            size = weights(recipe, shape) * BYTES_PER_WEIGHT
            if group and total + size > budget:
                yield group
                group, total = [], 0
            group.append(recipe)
            total += size
        yield group


def weights(recipe: Recipe, shape: Shape) -> int:
    """How many numbers a head of this recipe holds."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(recipe, shape).parameters())


def memory(device: torch.device) -> int:
    """Bytes for the weights of heads that are fitted together: a quarter of what the device has.

    Of all memory, not of what is free now: the same machine makes the same groups, so that it can go on.
    """
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory) // 4
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    return 4 << 30  # Windows tells it in no such way


def write_table(out: Path, wanted: Sequence[Recipe]) -> Path:
    """`heads.csv`: one row per head with its recipe and the figures of its last epoch, from the checkpoints.

    Raises:
        OutputError: it can't be written.
    """
    rows = [_row(_file(out, recipe), checkpoints.read_checkpoint(_file(out, recipe))[0]) for recipe in wanted]
    path = out / TABLE
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _file(out: Path, recipe: Recipe) -> Path:
    return out / f"{recipe.label}.safetensors"


def _row(path: Path, checkpoint: Checkpoint) -> Mapping[str, Any]:
    figures = checkpoint.facts["epochs"][-1]
    found = figures.get("validation") or {}
    return {
        "file": path.name,
        **{name: value for name, value in checkpoint.facts["recipe"].items() if name != "reduce_at"},
        "loss": figures["loss"],
        "accuracy": figures["accuracy"],
        "validation_loss": found.get("loss"),
        "validation_accuracy": found.get("accuracy"),
        "validation_average_precision": found.get("average_precision"),
    }
