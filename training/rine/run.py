"""A run: heads of one schedule on their way through the epochs, interruptible after every batch."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from sidscan._version import __version__
from sidscan.errors import OutputError, SidscanError, UsageError
from sidscan.models.checkpoints import Checkpoint
from sidscan.util.files import atomic_write
from sidscan.util.terminal import Echo, progress_stream

from .crop_dataset import CropDataset
from .features import FrozenEncoder
from .fit import Position, Source, Step, batches_of, fit, stacks_of
from .interrupts import deferred_interrupts
from .recipe import Recipe
from .validation import Validation

THRESHOLD = 0.5  # the paper's, uncalibrated
SAVE_EVERY = 200  # batches between two saves of an unfinished run

Figures = dict[str, Any]


class Diverged(SidscanError):
    """The loss is no finite number any more; the weights are worth nothing."""

    exit_code = UsageError.exit_code


class _Stopped(Exception):
    """Asked to stop, between two steps."""


class Run:
    """Heads that see the same batches, and what is to be said of them.

    Args:
        views: what can be left out as unreadable, by part of the set; the training part is ``train``.
        recipes: of equal `fit.schedule_key`.
        facts: stated in every checkpoint.
        data: folder of the set; names in checkpoints are below it.
        bar: whether a progress bar may be shown.
    """

    def __init__(
        self,
        source: Source,
        validation: Validation | None,
        encoder: FrozenEncoder,
        recipes: Sequence[Recipe],
        facts: Mapping[str, Any],
        views: Mapping[str, CropDataset],
        data: Path,
        bar: bool = True,
    ) -> None:
        self.source, self.validation, self.encoder = source, validation, encoder
        self.facts, self.views, self.data = dict(facts), views, data
        self.stacks = stacks_of(recipes, encoder.shape, encoder.device)
        self.recipes = [recipe for stack in self.stacks for recipe in stack.recipes]
        self.schedule = recipes[0]
        self.position = Position()
        self.history: list[list[Figures]] = [[] for _ in self.recipes]  # per head, per epoch
        self._sums = torch.zeros(3, len(self.recipes), dtype=torch.float64)  # loss, right answers, pictures
        self._shows = bar
        torch.manual_seed(self.schedule.seed)  # of dropout; from here on part of the state
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False  # as published

    def go(
        self, unfinished: Unfinished, say: Echo, epoch_ended: Callable[[int], object] | None = None
    ) -> None:
        """Fit to the end, from where ``unfinished`` stands; it holds the end, too.

        Args:
            epoch_ended: told the number of epochs done, between two steps; and once more after a stop.

        Raises:
            UsageError: ``unfinished`` is another run's.
            OutputError: it can't be written.
            Diverged: the loss is no finite number any more.
            KeyboardInterrupt: asked to stop; ``unfinished`` holds what was done, as after all other errors
                that are sidscan's own.
        """
        if unfinished.restore(self):
            say(f"going on after {self._where()} of an unfinished run")
        try:
            self._take_steps(unfinished, say, epoch_ended or (lambda _: None))
        except (_Stopped, SidscanError) as error:
            if isinstance(error, Diverged):
                raise
            if self.position != Position():  # else there is nothing to keep
                unfinished.save(self)
                say(
                    f"stopped after {self._where()}; kept in {unfinished.path}, "
                    "the same command (without --fresh) goes on"
                )
            if isinstance(error, _Stopped):
                raise KeyboardInterrupt from None
            raise
        unfinished.save(self)  # a checkpoint that can't be written now is written by the next attempt

    def _take_steps(self, unfinished: Unfinished, say: Echo, epoch_ended: Callable[[int], object]) -> None:
        if self.position.epoch and not self.position.batch:
            epoch_ended(self.position.epoch)  # the stop may have come before it was told
        steps = fit(self.stacks, self.source, self.schedule, self.position)
        try:
            with deferred_interrupts() as asked, self._bar() as bar:
                for number, step in enumerate(steps, 1):
                    self._note(step, say)
                    bar.update()
                    bar.set_postfix(self._postfix(), refresh=False)
                    if not step.after.batch:
                        epoch_ended(step.after.epoch)
                    if asked():
                        raise _Stopped
                    if number % SAVE_EVERY == 0:
                        unfinished.save(self)
        finally:
            steps.close()  # and with it the threads that make views

    def checkpoints(self) -> list[Checkpoint]:
        """One per recipe, in the order of ``recipes``, as they are now: of as many epochs as are done."""
        heads = [head for stack in self.stacks for head in stack.heads()]
        facts = self.facts | {
            "run": self.key(),
            "sidscan": __version__,
            "torch": torch.__version__,
            "left_out": {part: views.names_left_out(self.data) for part, views in self.views.items()},
        }
        return [
            Checkpoint(
                dict(head.state_dict()),
                recipe.head,
                self.encoder.name,
                self.encoder.sha256,
                THRESHOLD,
                {"recipe": asdict(replace(recipe, epochs=len(epochs))), "epochs": epochs} | facts,
            )
            for head, recipe, epochs in zip(heads, self.recipes, self.history, strict=True)
        ]

    @property
    def left_out(self) -> int:
        """How many pictures could not be read."""
        return sum(len(views.left_out) for views in self.views.values())

    def key(self) -> str:
        """Digest of everything that the weights depend on."""
        parts = [__version__, torch.__version__, self.encoder.sha256, self.facts]
        parts += [recipe.to_json() for recipe in self.recipes]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on as if never stopped."""
        state: dict[str, Any] = {
            "position": [self.position.epoch, self.position.batch],
            "history": json.dumps(self.history),
            "sums": self._sums,
            "random": torch.get_rng_state(),
            "stacks": [stack.state() for stack in self.stacks],
            "left_out": {part: sorted(views.left_out) for part, views in self.views.items()},
        }
        if self.encoder.device.type == "cuda":
            state["cuda_random"] = torch.cuda.get_rng_state(self.encoder.device)
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the state of an equal run."""
        self.position = Position(*state["position"])
        self.history = json.loads(state["history"])
        self._sums = state["sums"]
        for part, views in self.views.items():
            views.left_out.update(state["left_out"].get(part, []))
        torch.set_rng_state(state["random"])
        if "cuda_random" in state:
            torch.cuda.set_rng_state(state["cuda_random"], self.encoder.device)
        for stack, saved in zip(self.stacks, state["stacks"], strict=True):
            stack.restore(saved)

    def _note(self, step: Step, say: Echo) -> None:
        """Count a batch, and end the epoch where it was the last one."""
        losses, right = (torch.cat([result[part] for result in step.results]).cpu() for part in (0, 1))
        if not losses.isfinite().all():
            raise Diverged(
                f"the loss is no finite number any more, after {self._where()}",
                "Choose a lower --lr, or --precision fp32.",
            )
        self._sums += torch.stack([losses, right, torch.full(right.shape, step.seen)]).double()
        epoch, self.position = self.position.epoch, step.after
        if step.after.epoch > epoch:
            self._end_epoch(epoch, say)

    def _end_epoch(self, epoch: int, say: Echo) -> None:
        loss, right, seen = self._sums
        if not seen.any():
            raise UsageError("not one picture of the training set can be read", "Repair or remove them.")
        figures: list[Figures] = [
            {"epoch": epoch + 1, "loss": mean, "accuracy": share}
            for mean, share in zip((loss / seen).tolist(), (right / seen).tolist(), strict=True)
        ]
        if self.validation is not None:
            for figure, found in zip(figures, self.validation.figures(self.stacks), strict=True):
                figure["validation"] = found
        for history, figure in zip(self.history, figures, strict=True):
            history.append(figure)
        self._sums = torch.zeros_like(self._sums)
        if len(figures) == 1:
            say(_in_words(figures[0], self.schedule.epochs))

    def _bar(self) -> tqdm[Any]:
        lengths = [
            len(batches_of(len(self.source), self.schedule, epoch)) for epoch in range(self.schedule.epochs)
        ]
        done = sum(lengths[: self.position.epoch]) + self.position.batch
        heads = f"fit {len(self.recipes)} heads" if len(self.recipes) > 1 else "fit"
        return tqdm(
            total=sum(lengths),
            initial=done,
            desc=heads,
            unit="batch",
            disable=None if self._shows else True,
            file=progress_stream(),
        )

    def _postfix(self) -> dict[str, str]:
        """Of the epoch so far, mean over the heads."""
        loss, right, seen = (float(total) for total in self._sums.sum(dim=1))
        return {"loss": f"{loss / seen:.3f}", "accuracy": f"{right / seen:.3f}"} if seen else {}

    def _where(self) -> str:
        return f"epoch {self.position.epoch}, batch {self.position.batch}"


class Unfinished:
    """The file in which a run waits to be gone on with."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, run: Run) -> None:
        """Replace what was saved before.

        Raises:
            OutputError: the disk is full, say; what was saved before is still there.
        """
        try:
            with atomic_write(self.path) as partial:
                torch.save({"key": run.key(), **run.state()}, partial)
        except (OSError, RuntimeError) as error:  # torch's own writer raises the latter
            raise OutputError(
                f"can't write {self.path}: {error}", "Make room; the same command goes on from the last save."
            ) from error

    def restore(self, run: Run) -> bool:
        """Bring ``run`` to where it was; False where nothing was saved.

        Raises:
            UsageError: the file is damaged, or another run's.
        """
        if not self.path.exists():
            return False
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            same = state["key"] == run.key()
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise UsageError(f"{self.path} can't be read: {error}", "Start over with --fresh.") from error
        if not same:
            raise UsageError(
                f"{self.path} is of a run with other data, encoder or settings",
                "Choose another --out, or start over with --fresh.",
            )
        run.restore(state)
        return True

    def remove(self) -> None:
        """Nothing is waiting any more."""
        self.path.unlink(missing_ok=True)


def _in_words(figures: Figures, epochs: int) -> str:
    epoch, loss, accuracy = figures["epoch"], figures["loss"], figures["accuracy"]
    words = f"epoch {epoch} of {epochs}: loss {loss:.4f}, accuracy {accuracy:.4f}"
    found = figures.get("validation")
    if found is None:
        return words
    return (
        f"{words}; validation: loss {found['loss']:.4f}, accuracy {found['accuracy']:.4f}, "
        f"average precision {found['average_precision']:.4f}"
    )
