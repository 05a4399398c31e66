"""When the learning rate falls, and when training ends: DeCLIP's early stopping.

The validation score must rise by ``min_rise`` over the best one, or an epoch counts as idle. After
``patience`` idle epochs the rate is divided, counter and best start afresh, and the score must from then on
rise by ``min_rise_after_drop``. Training goes on from the current weights, not the best ones. It ends when
the rate would fall below ``min_lr``.
(DeCLIP @ 09d4293: earlystop.py, train.py:37,109,125-132, trainer.py:57-62.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

from .recipe import LocalizerRecipe


class PlateauState(TypedDict):
    """A schedule's state; files of unfinished runs store these keys."""

    lr: float
    best: float
    idle: int
    drops: int
    ended: bool


@dataclass
class Plateaus:
    """The learning rate, as the scores of past epochs have it.

    Attributes:
        lr: the recipe's, at first.
        best: the best score at this rate; -inf before the first.
        idle: epochs since then.
        drops: how often the rate fell.
        ended: whether it fell below the lowest one, so that training is over.
    """

    recipe: LocalizerRecipe
    lr: float
    best: float = -math.inf
    idle: int = 0
    drops: int = 0
    ended: bool = False

    def add(self, score: float) -> None:
        """Take the score of one more epoch; a score that is not a number counts as idle."""
        rise = self.recipe.min_rise_after_drop if self.drops else self.recipe.min_rise
        if self.best == -math.inf or score >= self.best + rise:
            self.best, self.idle = score, 0
            return
        self.idle += 1
        if self.idle >= self.recipe.patience:
            self._drop()

    def _drop(self) -> None:
        self.lr /= self.recipe.lr_divisor  # 1e-3 / 10 / 10 / 10 is a little more than 1e-6, which is kept
        self.drops += 1
        self.best, self.idle = -math.inf, 0
        self.ended = self.lr < self.recipe.min_lr

    def state(self) -> PlateauState:
        """For a file."""
        return {
            "lr": self.lr,
            "best": self.best,
            "idle": self.idle,
            "drops": self.drops,
            "ended": self.ended,
        }
