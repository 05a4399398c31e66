"""Studies: many heads from one pass of the encoder: the grid, the ablations, set sizes, seeds.

Every head becomes a checkpoint of its own, so that `sidscan evaluate` and `sidscan scan` take it as they take
any other; `heads.csv` says how each did in training.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sidscan.models.checkpoints import Checkpoint

from . import recipe as recipes
from .files import make_folder, replacing
from .fit import schedule_key
from .recipe import Recipe
from .run import Unfinished
from .train import Say, TrainConfig, new_run, prepare, write_checkpoint

Study = Literal["grid", "ablations", "set-sizes", "seeds"]
TABLE = "heads.csv"


def recipes_of(study: Study, base: Recipe, seeds: int) -> list[Recipe]:
    """The recipes that a study compares; every one from ``seeds`` seeds."""
    made = {"grid": recipes.grid, "ablations": recipes.ablations, "set-sizes": recipes.set_sizes}
    kinds = made[study](base) if study in made else [base]
    return [seeded for kind in kinds for seeded in recipes.seeds(kind, seeds)]


def run_study(
    config: TrainConfig, wanted: Sequence[Recipe], out: Path, say: Say, fresh: bool = False
) -> Path:
    """Fit all recipes on the readings of ``config`` and write their checkpoints into the folder ``out``.

    Recipes that see the same batches are fitted side by side. What an interrupted study finished is not done
    again; what it had begun goes on.

    Returns:
        the table.

    Raises:
        UsageError: ``out`` holds another study's begun fit.
        OutputError: something can't be written.
        KeyboardInterrupt: asked to stop; what was done is kept.
    """
    make_folder(out)
    open_recipes = [recipe for recipe in wanted if fresh or not _file(out, recipe).exists()]
    if done := len(wanted) - len(open_recipes):
        say(f"{done} of {len(wanted)} heads are there already (--fresh starts over)")
    if open_recipes:
        prepared = prepare(config, say)
        for some in by_schedule(open_recipes):
            run = new_run(prepared, some)
            unfinished = Unfinished(out / f"{some[0].label}-and-{len(some) - 1}.unfinished")
            if fresh:
                unfinished.remove()
            say(f"fitting {len(some)} heads together")
            run.go(unfinished, say)
            for recipe, checkpoint in zip(run.recipes, run.checkpoints(), strict=True):
                write_checkpoint(_file(out, recipe), checkpoint)
            unfinished.remove()
    return write_table(out, wanted)


def by_schedule(wanted: Iterable[Recipe]) -> list[list[Recipe]]:
    """Recipes in groups that see the same batches at the same learning rate."""
    groups: dict[tuple[object, ...], list[Recipe]] = {}
    for recipe in wanted:
        groups.setdefault(schedule_key(recipe), []).append(recipe)
    return list(groups.values())


def write_table(out: Path, wanted: Sequence[Recipe]) -> Path:
    """`heads.csv`: one row per head with its recipe and the figures of its last epoch, from the checkpoints.

    Raises:
        OutputError: it can't be written.
    """
    from sidscan.models import checkpoints

    rows = [_row(_file(out, recipe), checkpoints.read(_file(out, recipe))[0]) for recipe in wanted]
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
