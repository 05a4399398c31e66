"""A training run: heads of one schedule go through the epochs; it can be interrupted after every batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypedDict, cast

import torch
from torch import Tensor

from sidscan._version import __version__
from sidscan.errors import SidscanError, UsageError
from sidscan.models.checkpoints import Checkpoint
from sidscan.training.common.interrupts import deferred_interrupts
from sidscan.training.common.unfinished import Diverged, read_unfinished, save_unfinished
from sidscan.util.progress import Bar, progress
from sidscan.util.terminal import Echo

from .crop_dataset import CropDataset
from .features import FrozenEncoder
from .fit import (
    FeatureSource,
    FitPosition,
    FitStep,
    StackState,
    build_stacks,
    epoch_batches,
    family_of,
    fit_heads,
)
from .recipe import Recipe
from .validation import ValidationMetrics, ValidationSet

THRESHOLD = 0.5  # the paper's, uncalibrated
SAVE_EVERY = 200  # batches between two saves of an unfinished run
UNFINISHED_FORMAT = 2  # sidscan 0.1 wrote no number


class _TrainingMetrics(TypedDict):
    epoch: int
    loss: float
    accuracy: float


class EpochMetrics(_TrainingMetrics, total=False):
    """Epoch (from 1), mean loss and accuracy on the training part. Checkpoints store these keys."""

    validation: ValidationMetrics


class _RequiredState(TypedDict):
    position: list[int]
    history: str
    sums: Tensor
    random: Tensor
    stacks: list[StackState]
    left_out: dict[str, list[int]]


class RunState(_RequiredState, total=False):
    """All that a run needs to go on as if never stopped. Files of unfinished runs store these keys."""

    cuda_random: Tensor


class _Stopped(Exception):
    """The user asked to stop; raised between two steps."""


class TrainingRun:
    """Heads that see the same batches, and what their checkpoints will state.

    Args:
        recipes: of equal `fit.schedule_key`.
        facts: stated in every checkpoint.
        crops: the data sets that may leave out unreadable images, by part of the set: ``train``, ``val``.
        show_progress: whether a progress bar may be shown.
    """

    def __init__(
        self,
        source: FeatureSource,
        validation: ValidationSet | None,
        encoder: FrozenEncoder,
        recipes: Sequence[Recipe],
        facts: Mapping[str, object],
        crops: Mapping[str, CropDataset],
        show_progress: bool = True,
    ) -> None:
        self.source, self.validation, self.encoder = source, validation, encoder
        self.facts, self.crops = dict(facts), crops
        self.stacks = build_stacks(recipes, encoder.dims, encoder.device)
        self.recipes = [recipe for stack in self.stacks for recipe in stack.recipes]
        self.schedule = recipes[0]
        self.position = FitPosition()
        self.history: list[list[EpochMetrics]] = [[] for _ in self.recipes]  # per head, per epoch
        self._sums = torch.zeros(3, len(self.recipes), dtype=torch.float64)  # loss, right answers, images
        self._show_progress = show_progress
        torch.manual_seed(self.schedule.seed)  # for dropout; from here on it is part of the state
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False  # as published

    def fit(
        self, unfinished: UnfinishedRun, echo: Echo, epoch_ended: Callable[[int], object] | None = None
    ) -> None:
        """Fit to the end, from where ``unfinished`` stands; its file holds the end, too.

        Args:
            epoch_ended: called with the number of epochs done, between two steps; after a stop it is called
                again for the last of them.

        Raises:
            UsageError: ``unfinished`` belongs to another run.
            OutputError: its file can't be written.
            Diverged: the loss is infinite or NaN.
            KeyboardInterrupt: the user asked to stop. ``unfinished`` then holds what was done, as it does
                after every other error of sidscan's own.
        """
        if unfinished.restore(self):
            echo(f"going on after {self._position_text()} of an unfinished run")
        try:
            self._take_steps(unfinished, echo, epoch_ended or (lambda _: None))
        except (_Stopped, SidscanError) as error:
            if isinstance(error, Diverged):
                raise
            if self.position != FitPosition():  # else there is nothing to save
                unfinished.save(self)
                echo(
                    f"stopped after {self._position_text()}; saved in {unfinished.path}. "
                    "The same command (without --fresh) goes on from there"
                )
            if isinstance(error, _Stopped):
                raise KeyboardInterrupt from None
            raise
        unfinished.save(self)  # if the checkpoint can't be written now, the next attempt writes it

    def _take_steps(
        self, unfinished: UnfinishedRun, echo: Echo, epoch_ended: Callable[[int], object]
    ) -> None:
        if self.position.epoch and not self.position.batch:
            epoch_ended(self.position.epoch)  # the stop may have come before the call
        steps = fit_heads(self.stacks, self.source, self.schedule, self.position)
        try:
            with deferred_interrupts() as stop_requested, self._progress_bar() as bar:
                for number, step in enumerate(steps, 1):
                    self._add(step, echo)
                    bar.update()
                    bar.set_postfix(self._epoch_so_far(), refresh=False)
                    if not step.after.batch:
                        epoch_ended(step.after.epoch)
                    if stop_requested():
                        raise _Stopped
                    if number % SAVE_EVERY == 0:
                        unfinished.save(self)
        finally:
            steps.close()  # this also ends the threads that make crops

    def checkpoints(self) -> list[Checkpoint]:
        """One checkpoint per recipe, in the order of ``recipes``, after as many epochs as are done."""
        heads = [head for stack in self.stacks for head in stack.heads()]
        facts = self.facts | {
            "run": self.key(),
            "sidscan": __version__,
            "torch": torch.__version__,
            "left_out": {part: crops.names_left_out() for part, crops in self.crops.items()},
        }
        return [
            Checkpoint(
                dict(head.state_dict()),
                family_of(recipe, self.encoder.dims),
                self.encoder.name,
                self.encoder.sha256,
                THRESHOLD,
                {"recipe": asdict(replace(recipe, epochs=len(epochs))), "epochs": epochs} | facts,
            )
            for head, recipe, epochs in zip(heads, self.recipes, self.history, strict=True)
        ]

    @property
    def left_out(self) -> int:
        """Number of images that could not be read."""
        return sum(len(crops.left_out) for crops in self.crops.values())

    def key(self) -> str:
        """Digest of everything that the weights depend on."""
        parts = [__version__, torch.__version__, self.encoder.sha256, self.facts]
        parts += [recipe.to_json() for recipe in self.recipes]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def state(self) -> RunState:
        """All that `restore` needs to go on as if never stopped."""
        state: RunState = {
            "position": [self.position.epoch, self.position.batch],
            "history": json.dumps(self.history),
            "sums": self._sums,
            "random": torch.get_rng_state(),
            "stacks": [stack.state() for stack in self.stacks],
            "left_out": {part: sorted(crops.left_out) for part, crops in self.crops.items()},
        }
        if self.encoder.device.type == "cuda":
            state["cuda_random"] = torch.cuda.get_rng_state(self.encoder.device)
        return state

    def restore(self, state: RunState) -> None:
        """Take over the state of an equal run."""
        self.position = FitPosition(*state["position"])
        self.history = json.loads(state["history"])
        self._sums = state["sums"]
        for part, crops in self.crops.items():
            crops.left_out.update(state["left_out"].get(part, []))
        torch.set_rng_state(state["random"])
        if "cuda_random" in state:
            torch.cuda.set_rng_state(state["cuda_random"], self.encoder.device)
        for stack, saved in zip(self.stacks, state["stacks"], strict=True):
            stack.restore(saved)

    def _add(self, step: FitStep, echo: Echo) -> None:
        """Add a batch to the sums, and end the epoch after its last batch."""
        losses, right = (torch.cat([result[part] for result in step.results]).cpu() for part in (0, 1))
        if not losses.isfinite().all():
            raise Diverged(
                f"the loss became infinite or NaN after {self._position_text()}",
                "Choose a lower --lr, or --precision fp32.",
            )
        self._sums += torch.stack([losses, right, torch.full(right.shape, step.seen)]).double()
        epoch, self.position = self.position.epoch, step.after
        if step.after.epoch > epoch:
            self._end_epoch(epoch, echo)

    def _end_epoch(self, epoch: int, echo: Echo) -> None:
        loss, right, seen = self._sums
        if not seen.any():
            raise UsageError("no image of the training set can be read", "Repair or remove them.")
        metrics: list[EpochMetrics] = [
            {"epoch": epoch + 1, "loss": mean, "accuracy": accuracy}
            for mean, accuracy in zip((loss / seen).tolist(), (right / seen).tolist(), strict=True)
        ]
        if self.validation is not None:
            for of_head, validation in zip(metrics, self.validation.evaluate(self.stacks), strict=True):
                of_head["validation"] = validation
        for history, of_head in zip(self.history, metrics, strict=True):
            history.append(of_head)
        self._sums = torch.zeros_like(self._sums)
        if len(metrics) == 1:
            echo(_epoch_text(metrics[0], self.schedule.epochs))

    def _progress_bar(self) -> AbstractContextManager[Bar]:
        lengths = [
            len(epoch_batches(len(self.source), self.schedule, epoch))
            for epoch in range(self.schedule.epochs)
        ]
        return progress(
            sum(lengths),
            "batch",
            done=sum(lengths[: self.position.epoch]) + self.position.batch,
            quiet=not self._show_progress,
            title=f"fit {len(self.recipes)} heads" if len(self.recipes) > 1 else "fit",
        )

    def _epoch_so_far(self) -> dict[str, str]:
        """For the progress bar; means over the heads."""
        loss, right, seen = (float(total) for total in self._sums.sum(dim=1))
        return {"loss": f"{loss / seen:.3f}", "accuracy": f"{right / seen:.3f}"} if seen else {}

    def _position_text(self) -> str:
        return f"epoch {self.position.epoch}, batch {self.position.batch}"


class UnfinishedRun:
    """The file that holds an unfinished run until it goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, run: TrainingRun) -> None:
        """Replace what was saved before.

        Raises:
            OutputError: the file can't be written (a full disk, say); what was saved before stays.
        """
        save_unfinished(self.path, {"format": UNFINISHED_FORMAT, "key": run.key(), **run.state()})

    def restore(self, run: TrainingRun) -> bool:
        """Bring ``run`` to where it was; return False if nothing was saved.

        Raises:
            UsageError: the file is damaged, has another format, or belongs to another run.
        """
        state = read_unfinished(self.path)
        if state is None:
            return False
        if state["format"] != UNFINISHED_FORMAT:
            raise UsageError(
                f"{self.path} was saved by another version of sidscan",
                "Finish the run with that version, or start over with --fresh.",
            )
        if state["key"] != run.key():
            raise UsageError(
                f"{self.path} belongs to a run with other data, encoder or settings",
                "Choose another --out, or start over with --fresh.",
            )
        run.restore(cast(RunState, state))
        return True

    def remove(self) -> None:
        """Delete the file, if it exists."""
        self.path.unlink(missing_ok=True)


def _epoch_text(metrics: EpochMetrics, epochs: int) -> str:
    text = (
        f"epoch {metrics['epoch']} of {epochs}: "
        f"loss {metrics['loss']:.4f}, accuracy {metrics['accuracy']:.4f}"
    )
    if "validation" not in metrics:
        return text
    validation = metrics["validation"]
    return (
        f"{text}; validation: loss {validation['loss']:.4f}, accuracy {validation['accuracy']:.4f}, "
        f"average precision {validation['average_precision']:.4f}"
    )
