"""Studies: many heads from one pass of the encoder: grid, ablations, epochs, set sizes, seeds.

Every head becomes a checkpoint, which `sidscan evaluate` and `sidscan scan` accept as any other. `heads.csv`
lists how each head did in training.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from sidscan.errors import UsageError
from sidscan.models import checkpoints
from sidscan.models.checkpoints import Checkpoint
from sidscan.models.own_files import check_replaceable, is_checkpoint
from sidscan.training.common.files import check_unedited, make_folder, note_written, writing_result
from sidscan.util.terminal import Echo

from . import recipe as recipes
from .config import TrainConfig
from .examples import SetLayout
from .fit import EncoderDims, build_head, check_fits, schedule_key
from .recipe import Recipe
from .run import TrainingRun, UnfinishedRun
from .train import TrainingSetup, new_run, prepare_training, write_checkpoint

StudyKind = Literal["grid", "ablations", "epochs", "set-sizes", "seeds"]
HEADS_TABLE = "heads.csv"
BYTES_PER_WEIGHT = 16  # weight, gradient and Adam's two means, in fp32


def study_recipes(
    study: StudyKind, base: Recipe, seeds: int, layout: SetLayout = "cnndetection"
) -> list[Recipe]:
    """The recipes that a study compares; each from ``seeds`` seeds.

    Raises:
        UsageError: the study needs RINE's head, and ``base`` has another.
    """
    variants_by_study = {
        "grid": recipes.ldm_grid if layout == "ldm" else recipes.grid,
        "ablations": recipes.ablations,
        "epochs": recipes.epoch_counts,
        "set-sizes": recipes.set_sizes,
    }
    variants = variants_by_study[study](base) if study in variants_by_study else [base]
    return [seeded for variant in variants for seeded in recipes.seeds(variant, seeds)]


def run_study(
    config: TrainConfig,
    wanted: Sequence[Recipe],
    out: Path,
    echo: Echo,
    fresh: bool = False,
    overwrite: bool = False,
) -> tuple[Path, int]:
    """Fit all recipes on the features of ``config`` and write their checkpoints into the folder ``out``.

    Recipes that see the same batches are fitted side by side, and a run of many epochs yields the heads of
    fewer epochs as it passes them. Heads that an earlier, interrupted study finished are not fitted again; a
    run that it began goes on.

    Returns:
        the table's path, and how many images were left out because they could not be read.

    Raises:
        UsageError: ``out`` holds heads of other data or settings; or two recipes have one name.
        OutputError: something can't be written, or is not what sidscan wrote.
        KeyboardInterrupt: the user asked to stop; what was done is saved.
    """
    if len({recipe.label for recipe in wanted}) < len(wanted):
        raise UsageError("two heads of the study have the same name")
    make_folder(out)
    check = partial(_check_may_replace, out, wanted, fresh, overwrite)
    check()
    setup = prepare_training(config, echo)
    for recipe in wanted:
        check_fits(recipe, setup.encoder.dims)
    left_out = 0
    for group in schedule_groups(wanted, setup.encoder.dims, memory_budget(setup.encoder.device)):
        run = _fit_group(setup, group, out, echo, fresh)
        left_out = max(left_out, run.left_out)
    check()  # again: hours may have passed
    return write_heads_table(out, wanted), left_out


def _check_may_replace(out: Path, wanted: Sequence[Recipe], fresh: bool, overwrite: bool) -> None:
    """Refuse to replace what sidscan did not write: heads when starting over, and the table.

    Raises:
        OutputError: there is such a file.
    """
    if overwrite:
        return
    check_unedited(out, [HEADS_TABLE])
    for recipe in wanted if fresh else ():
        check_replaceable(_checkpoint_path(out, recipe), fresh, overwrite, is_checkpoint)


def _fit_group(
    setup: TrainingSetup, group: Sequence[Recipe], out: Path, echo: Echo, fresh: bool
) -> TrainingRun:
    """Fit recipes that see the same batches: of recipes that differ in epochs, only the longest."""
    longest = {replace(recipe, epochs=1): recipe for recipe in sorted(group, key=lambda r: r.epochs)}
    run = new_run(setup, list(longest.values()))
    unfinished = UnfinishedRun(out / f"{run.key()[:16]}.unfinished")
    if fresh:
        unfinished.remove()
    elif _all_exist(out, group, run.key()):
        exist = "1 head exists" if len(group) == 1 else f"{len(group)} heads exist"
        echo(f"{exist} already (--fresh starts over)")
        return run
    echo("fitting 1 head" if len(longest) == 1 else f"fitting {len(longest)} heads together")

    def write_finished(epochs: int) -> None:
        for recipe, checkpoint in zip(run.recipes, run.checkpoints(), strict=True):
            if replace(recipe, epochs=epochs) in group:
                write_checkpoint(_checkpoint_path(out, replace(recipe, epochs=epochs)), checkpoint)

    run.fit(unfinished, echo, write_finished)
    unfinished.remove()
    return run


def _all_exist(out: Path, group: Sequence[Recipe], key: str) -> bool:
    """Whether the checkpoints of all recipes exist, written by this very run.

    Raises:
        UsageError: another run wrote one of them.
    """
    paths = [path for path in (_checkpoint_path(out, recipe) for recipe in group) if path.exists()]
    for path in paths:
        if checkpoints.read_checkpoint(path)[0].facts.get("run") != key:
            raise UsageError(
                f"{path} belongs to a run with other data, encoder, versions or settings",
                "Choose another --out, or replace it with --fresh.",
            )
    return len(paths) == len(group)


def schedule_groups(wanted: Iterable[Recipe], dims: EncoderDims, budget: int) -> Iterator[list[Recipe]]:
    """Recipes that see the same batches, as many together as fit into ``budget`` bytes."""
    by_schedule: dict[tuple[object, ...], list[Recipe]] = {}
    for recipe in wanted:
        by_schedule.setdefault(schedule_key(replace(recipe, epochs=1)), []).append(recipe)
    for same_schedule in by_schedule.values():
        group: list[Recipe] = []
        total = 0
        for recipe in same_schedule:
            size = count_weights(recipe, dims) * BYTES_PER_WEIGHT
            if group and total + size > budget:
                yield group
                group, total = [], 0
            group.append(recipe)
            total += size
        yield group


def count_weights(recipe: Recipe, dims: EncoderDims) -> int:
    """Number of parameters of a head."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_head(recipe, dims).parameters())


def memory_budget(device: torch.device) -> int:
    """Bytes for the weights of heads that are fitted together: a quarter of the device's memory.

    This counts all memory, not what is free now: so the same machine makes the same groups, and an
    interrupted study can go on.
    """
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory) // 4
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    return 4 << 30  # Windows has no such call


def write_heads_table(out: Path, wanted: Sequence[Recipe]) -> Path:
    """Write `heads.csv` from the checkpoints: one row per head, its recipe and its last epoch's metrics.

    Raises:
        OutputError: it can't be written.
    """
    paths = [_checkpoint_path(out, recipe) for recipe in wanted]
    rows = [_table_row(path.name, checkpoints.read_checkpoint(path)[0]) for path in paths]
    table = out / HEADS_TABLE
    with writing_result(table) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    note_written(out, [HEADS_TABLE])
    return table


def _checkpoint_path(out: Path, recipe: Recipe) -> Path:
    return out / f"{recipe.label}.safetensors"


def _table_row(name: str, checkpoint: Checkpoint) -> Mapping[str, object]:
    stored = asdict(Recipe.from_dict(checkpoint.facts["recipe"]))
    recipe = {name: value for name, value in stored.items() if not isinstance(value, tuple)}  # one a cell
    metrics = checkpoint.facts["epochs"][-1]
    validation = metrics.get("validation") or {}
    return {
        "file": name,
        **recipe,
        "loss": metrics["loss"],
        "accuracy": metrics["accuracy"],
        "validation_loss": validation.get("loss"),
        "validation_accuracy": validation.get("accuracy"),
        "validation_average_precision": validation.get("average_precision"),
    }
