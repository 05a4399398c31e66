"""Fitting: heads of one shape, stacked, take a step together on the batch they share.

A stack of one is the published loop. In a stack of many each head gets the weights that it would get alone
from the same order of pictures (but for its own dropout): parameters of different heads never meet, the
losses are summed, and Adam works per parameter.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from sidscan.errors import UsageError
from sidscan.models.backbones import Feature
from sidscan.models.families import HeadFamily, find_family
from sidscan.models.heads.base import Head
from sidscan.models.heads.feature_pyramid import FpnHead
from sidscan.models.heads.linear_probe import LinearProbe
from sidscan.models.heads.rine import RineHead

from .losses import rine_loss
from .recipe import Recipe

SHUT = -1e4  # a TIE weight whose softmax is exactly 0 beside a weight of 0


class Shape(NamedTuple):
    """What of an encoder the shape of a head depends on."""

    blocks: int
    width: int
    embedding: int


class Source(Protocol):
    """Where readings of training views come from: a fresh pass of the encoder, or a cache of one."""

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def batches(self, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each batch of example numbers: readings (b, ...) float32 and labels (b,), 1.0 for synthetic.

        A batch is smaller, down to empty, where examples were left out as unreadable.
        """
        ...


class HeadStack:
    """Heads of one shape that are fitted together.

    Args:
        recipes: of equal `_stack_key`.
        shape: of the encoder.
    """

    def __init__(self, recipes: Sequence[Recipe], shape: Shape, device: torch.device) -> None:
        self.recipes, self.shape, self.device = tuple(recipes), shape, device
        wholes = [_Whole(build(recipe, shape)) for recipe in recipes]
        stacked, _ = stack_module_state(wholes)
        self.skeleton = copy.deepcopy(wholes[0]).to("meta")
        self.parameters = {name: p.detach().to(device).requires_grad_() for name, p in stacked.items()}
        self.xi = torch.tensor([recipe.contrastive_weight for recipe in recipes], device=device)
        self.optimiser = torch.optim.Adam(self.parameters.values(), lr=recipes[0].lr)
        self._averages = torch.tensor([recipe.without == "tie" for recipe in recipes], device=device)

    def __len__(self) -> int:
        return len(self.recipes)

    @property
    def nothing(self) -> tuple[Tensor, Tensor]:
        """Losses and right answers of an empty batch, (heads,)."""
        return torch.zeros(len(self)), torch.zeros(len(self))

    def step(self, readings: Tensor, labels: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        """One step of every head; readings (b, ...), labels (b,). Losses and right answers, (heads,)."""
        self.skeleton.train()
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        losses, right = self._losses(readings, labels)
        self.optimiser.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]
        self._hold_averages()
        self.optimiser.step()
        return losses.detach(), right

    @torch.no_grad()
    def logits(self, readings: Tensor) -> Tensor:
        """Readings (b, ...) -> (heads, b), without dropout."""
        self.skeleton.eval()
        values = self._own(readings)
        result: Tensor = vmap(lambda p: functional_call(self.skeleton, p, (values,))[0])(self.parameters)
        return result

    @torch.no_grad()
    def losses(self, readings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Losses and right answers without dropout, (heads,): for validation."""
        self.skeleton.eval()
        return self._losses(readings, labels)

    def heads(self) -> list[Head]:
        """The fitted heads, each in the layout of its published kind, reading all blocks."""
        states = [
            {
                name.removeprefix("head."): p[place].detach().cpu().clone()
                for name, p in self.parameters.items()
            }
            for place in range(len(self))
        ]
        return [
            whole_head(recipe, state, self.shape) for recipe, state in zip(self.recipes, states, strict=True)
        ]

    def state(self) -> dict[str, Any]:
        """All that a later `restore` needs to go on as if never stopped."""
        parameters = {name: p.detach().cpu() for name, p in self.parameters.items()}
        return {"parameters": parameters, "optimiser": self.optimiser.state_dict()}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Take over the state of an equal stack."""
        for name, parameter in self.parameters.items():
            parameter.copy_(state["parameters"][name])
        self.optimiser.load_state_dict(state["optimiser"])

    def _losses(self, readings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        values, labels = self._own(readings), labels.to(self.device)

        def one(parameters: dict[str, Tensor], xi: Tensor) -> tuple[Tensor, Tensor]:
            logits, embedding = functional_call(self.skeleton, parameters, (values,))
            right = ((logits.detach() > 0) == (labels > 0.5)).sum()
            return rine_loss(logits, embedding, labels, xi), right

        result: tuple[Tensor, Tensor] = vmap(one, randomness="different")(self.parameters, self.xi)
        return result

    def _own(self, readings: Tensor) -> Tensor:
        """What these heads read, on their device: the last block alone, where nothing else is."""
        own = readings[:, -1:] if self.recipes[0].without == "intermediate" else readings
        return own.to(self.device)

    def _hold_averages(self) -> None:
        """Without the TIE all blocks weigh the same: its parameters are 0 and stay so."""
        alpha = self.parameters.get("head.alpha")
        if alpha is not None and alpha.grad is not None:
            alpha.grad[self._averages] = 0


class _Whole(nn.Module):
    """A head whose forward gives all that the loss needs, since `functional_call` calls only forward."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, readings: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.head.embed(readings)
        return self.head.classify(embedding), embedding


def build(recipe: Recipe, shape: Shape) -> Head:
    """An untrained head; its weights follow from the recipe's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if recipe.head == "linear":
            return LinearProbe(shape.embedding)
        if recipe.head == "fpn":
            return FpnHead(shape.blocks, shape.width, recipe.projected)
        blocks = 1 if recipe.without == "intermediate" else shape.blocks
        head = RineHead(blocks, shape.width, recipe.projected, recipe.layers)
    if recipe.without == "tie":
        nn.init.zeros_(head.alpha)
    return head


def whole_head(recipe: Recipe, state: dict[str, Tensor], shape: Shape) -> Head:
    """A fitted head as others load it: one that reads the last block alone gets a TIE shut to the others."""
    if recipe.without == "intermediate":
        alpha = torch.full((1, shape.blocks, recipe.projected), SHUT)
        alpha[:, -1] = 0
        recipe, state = replace(recipe, without="none"), state | {"alpha": alpha}
    head = build(recipe, shape)
    head.load_state_dict(state, strict=True)
    return head.eval().requires_grad_(False)


def reading_of(recipe: Recipe) -> Feature:
    """What the recipe's head reads of the encoder."""
    family = find_family(recipe.head)
    assert isinstance(family, HeadFamily)
    return family.head_class().feature


def stacks_of(
    recipes: Sequence[Recipe], shape: Shape, device: torch.device, at_once: int = 8
) -> list[HeadStack]:
    """Recipes of one schedule as stacks of at most ``at_once`` heads; alike shapes go together."""
    alike: dict[tuple[object, ...], list[Recipe]] = {}
    for recipe in recipes:
        alike.setdefault(_stack_key(recipe), []).append(recipe)
    return [
        HeadStack(some[start : start + at_once], shape, device)
        for some in alike.values()
        for start in range(0, len(some), at_once)
    ]


def _stack_key(recipe: Recipe) -> tuple[object, ...]:
    """What two heads must share to have tensors of the same shapes."""
    return recipe.head, recipe.layers, recipe.projected, recipe.without == "intermediate"


def schedule_key(recipe: Recipe) -> tuple[object, ...]:
    """What two recipes must share to see the same batches at the same learning rate."""
    reading = reading_of(recipe)
    return reading, recipe.epochs, recipe.batch, recipe.lr, recipe.reduce_at, recipe.share, recipe.seed


def batches_of(examples: int, recipe: Recipe, epoch: int) -> list[list[int]]:
    """Example numbers of an epoch's batches, the last one smaller (published code: drop_last=False).

    As published, the list is shuffled once, of which ``share`` is kept, and once more in every epoch.
    """
    chosen = list(range(examples))
    random.Random(recipe.seed).shuffle(chosen)
    chosen = chosen[: int(examples * recipe.share)]
    random.Random(f"{recipe.seed} {epoch}").shuffle(chosen)
    return [chosen[start : start + recipe.batch] for start in range(0, len(chosen), recipe.batch)]


@dataclass(frozen=True)
class Position:
    """Where a fit stands: the next batch to be taken."""

    epoch: int = 0
    batch: int = 0


class Step(NamedTuple):
    """One batch, done: what comes next, and per stack its losses and right answers, each (heads,)."""

    after: Position
    seen: int
    results: list[tuple[Tensor, Tensor]]


def fit(
    stacks: Sequence[HeadStack], source: Source, recipe: Recipe, start: Position
) -> Generator[Step, None, None]:
    """Fit heads that share ``recipe``'s schedule, from ``start`` on; yields after every batch.

    Dropout draws from torch's global generator, which the caller seeds or restores.

    Raises:
        UsageError: ``share`` leaves no picture.
    """
    if int(len(source) * recipe.share) < 1:
        raise UsageError(f"{recipe.share:g} of {len(source)} pictures are none", "Choose a larger --share.")
    for epoch in range(start.epoch, recipe.epochs):
        order = batches_of(len(source), recipe, epoch)
        first = start.batch if epoch == start.epoch else 0
        batches = source.batches(epoch, order[first:])
        for number, (readings, labels) in enumerate(batches, first + 1):
            readings, labels = (values.to(stacks[0].device) for values in (readings, labels))
            lr = recipe.lr_at(epoch)
            results = [stack.step(readings, labels, lr) if len(labels) else stack.nothing for stack in stacks]
            done = number == len(order)
            yield Step(Position(epoch + done, 0 if done else number), len(labels), results)
