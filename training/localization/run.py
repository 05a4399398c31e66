"""A training run of a decoder: epochs until the plateaus end it; it can be stopped after every batch."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

import torch

from sidscan.errors import UsageError
from sidscan.training.common.interrupts import deferred_interrupts
from sidscan.training.common.unfinished import Diverged, read_unfinished, save_unfinished
from sidscan.util.progress import progress
from sidscan.util.terminal import Echo

from .fit import DecoderFit, FitState, epoch_batches
from .plateau import Plateaus, PlateauState
from .recipe import LocalizerRecipe
from .tokens import TokenSource
from .validation import ValidationPart

UNFINISHED_FORMAT = 1
_SAVE_EVERY = 600.0  # seconds, besides the end of every epoch: a state is four times as large as the weights


class EpochFacts(TypedDict):
    """Epoch (from 1), learning rate, mean loss, validation score. Checkpoints store these keys."""

    epoch: int
    lr: float
    loss: float
    validation: float


class LocalizerState(TypedDict):
    """All that a run needs to go on as if never stopped. Files of unfinished runs store these keys.

    The state of a training of heads has no field in common: several heads, and random numbers of dropout.
    """

    position: list[int]
    history: str
    loss: list[float]
    plateaus: PlateauState
    fit: FitState
    best_epoch: int
    best: FitState | None


class _Stopped(Exception):
    """The user asked to stop; raised between two steps."""


class LocalizerRun:
    """A decoder that goes through the epochs.

    Args:
        key: digest of everything that the weights depend on.
        count: number of training images.
        keep_optimiser: whether ``best`` has the optimiser's state, which is twice as large as the weights.

    Attributes:
        best: weights after the epoch with the best validation score, and perhaps the optimiser.
    """

    def __init__(
        self,
        fit: DecoderFit,
        source: TokenSource,
        count: int,
        validation: ValidationPart,
        key: str,
        show_progress: bool = True,
        keep_optimiser: bool = False,
    ) -> None:
        self.fit, self.source, self.count, self.validation = fit, source, count, validation
        self.key, self._show_progress, self._keep_optimiser = key, show_progress, keep_optimiser
        self.recipe: LocalizerRecipe = fit.recipe
        self.plateaus = Plateaus(fit.recipe, fit.recipe.lr)
        self.epoch, self.batch = 0, 0  # what comes next
        self.history: list[EpochFacts] = []
        self.best_epoch, self.best = 0, None  # type: int, FitState | None
        self._loss, self._seen = 0.0, 0
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False

    @property
    def is_over(self) -> bool:
        """Whether the plateaus, or the number of epochs, ended it."""
        return self.plateaus.ended or self.epoch >= self.recipe.epochs

    def train(self, unfinished: UnfinishedLocalizer, echo: Echo) -> None:
        """Train to the end, from where ``unfinished`` stands; its file holds the end, too.

        Raises:
            UsageError: ``unfinished`` belongs to another run.
            OutputError: its file can't be written.
            Diverged: the loss is infinite or NaN.
            KeyboardInterrupt: the user asked to stop; ``unfinished`` holds what was done.
        """
        if unfinished.restore(self):
            echo(f"going on after {self._position()} of an unfinished run")
        try:
            while not self.is_over:
                self._take_epoch(unfinished, echo)
        except _Stopped:
            unfinished.save(self)
            echo(
                f"stopped after {self._position()}; saved in {unfinished.path}. "
                "The same command (without --fresh) goes on from there"
            )
            raise KeyboardInterrupt from None

    def _take_epoch(self, unfinished: UnfinishedLocalizer, echo: Echo) -> None:
        order = epoch_batches(self.count, self.recipe, self.epoch)
        saved = time.monotonic()
        with (
            deferred_interrupts() as stop_requested,
            progress(
                len(order),
                "batch",
                done=self.batch,
                quiet=not self._show_progress,
                title=f"epoch {self.epoch + 1}",
                transient=True,
            ) as bar,
        ):
            for batch in self.source.batches(self.epoch, order[self.batch :]):
                loss = self.fit.step(batch.features, batch.targets, self.plateaus.lr)
                self._add(loss, len(batch.targets))
                bar.update()
                bar.set_postfix({"loss": f"{self._loss / self._seen:.4f}"}, refresh=False)
                if self.batch == len(order):
                    break  # the epoch ends even if a stop is asked for: it lacks only its score
                if stop_requested():
                    raise _Stopped
                if time.monotonic() - saved > _SAVE_EVERY:
                    unfinished.save(self)
                    saved = time.monotonic()
            bar.clear()  # a line is printed in its place
            self._end_epoch(echo)
            unfinished.save(self)
            if stop_requested() and not self.is_over:
                raise _Stopped

    def _add(self, loss: float, count: int) -> None:
        if not math.isfinite(loss):
            raise Diverged(
                f"the loss became infinite or NaN after {self._position()}",
                "Choose a lower --lr, or --precision fp32.",
            )
        self._loss += loss * count
        self._seen += count
        self.batch += 1

    def _end_epoch(self, echo: Echo) -> None:
        score, lr = self.validation.score(self.fit), self.plateaus.lr
        is_best = self.best is None or score > max(facts["validation"] for facts in self.history)
        self.plateaus.add(score)
        self.epoch, self.batch = self.epoch + 1, 0
        facts: EpochFacts = {
            "epoch": self.epoch,
            "lr": lr,
            "loss": self._loss / self._seen,
            "validation": score,
        }
        self.history.append(facts)
        self._loss, self._seen = 0.0, 0
        if is_best:
            self.best_epoch, self.best = self.epoch, self.fit.snapshot(self._keep_optimiser)
        name = "average precision" if self.validation.by_image else "IoU"
        echo(
            f"epoch {self.epoch}: loss {facts['loss']:.4f}, validation {name} {score:.2f}"
            f"{' (best)' if is_best else ''}, learning rate {lr:.0e}"
        )

    def state(self) -> LocalizerState:
        """All that `restore` needs."""
        return {
            "position": [self.epoch, self.batch],
            "history": json.dumps(self.history),
            "loss": [self._loss, float(self._seen)],
            "plateaus": self.plateaus.state(),
            "fit": self.fit.state(),
            "best_epoch": self.best_epoch,
            "best": self.best,
        }

    def restore(self, state: LocalizerState) -> None:
        """Take over the state of an equal run."""
        self.epoch, self.batch = state["position"]
        self.history = json.loads(state["history"])
        self._loss, self._seen = state["loss"][0], int(state["loss"][1])
        self.plateaus = Plateaus(self.recipe, **state["plateaus"])
        self.fit.restore(state["fit"])
        self.best_epoch, self.best = state["best_epoch"], state["best"]

    def _position(self) -> str:
        return f"epoch {self.epoch}, batch {self.batch}"


class UnfinishedLocalizer:
    """The file that holds an unfinished run until it goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, run: LocalizerRun) -> None:
        """Replace what was saved before.

        Raises:
            OutputError: the file can't be written (a full disk, say); what was saved before stays.
        """
        save_unfinished(self.path, {"format": UNFINISHED_FORMAT, "key": run.key, **run.state()})

    def restore(self, run: LocalizerRun) -> bool:
        """Bring ``run`` to where it was; return False if nothing was saved.

        Raises:
            UsageError: the file is damaged, has another format, or belongs to another run.
        """
        state = read_unfinished(self.path)
        if state is None:
            return False
        if (state["format"], state["key"]) != (UNFINISHED_FORMAT, run.key):
            raise UsageError(
                f"{self.path} belongs to a run with other data, encoder, settings or versions",
                "Choose another --out, or start over with --fresh.",
            )
        run.restore(cast(LocalizerState, state))
        return True

    def remove(self) -> None:
        """Delete the file, if it exists."""
        self.path.unlink(missing_ok=True)


def run_key(depends: Mapping[str, object]) -> str:
    """Digest of everything that the weights depend on."""
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
