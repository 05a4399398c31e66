"""Fitting: heads of one shape, stacked, take a step together on the batch they share.

A stack of one is the published loop. In a stack of many, each head gets the weights that it would get alone
from the same order of images (but for its own dropout): parameters of different heads never meet, the losses
are summed, and Adam works per parameter.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol, TypedDict

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from sidscan.errors import UsageError
from sidscan.models.backbones import MAPS, MAPS_AT_ONCE, Feature
from sidscan.models.families import HeadFamily, find_family
from sidscan.models.heads.base import Head
from sidscan.models.heads.feature_pyramid import FpnHead, FpnLevelsHead
from sidscan.models.heads.linear_probe import LinearProbe
from sidscan.models.heads.rine import RineHead
from sidscan.models.heads.rine_depths import RineDepthsHead
from sidscan.training.common.losses import rine_loss

from .recipe import Recipe

_CLOSED = -1e4  # a TIE weight whose softmax is exactly 0 beside a weight of 0


class EncoderDims(NamedTuple):
    """The sizes of an encoder that the shape of a head depends on.

    Attributes:
        embed_dim: d, width of a block's feature.
        output_dim: e, width of the encoder's own image embedding.
        widths: of every block's feature where they differ; empty where all have ``embed_dim``.
        levels: channels and side of every map where they differ; empty where they don't.
    """

    num_blocks: int
    embed_dim: int
    output_dim: int
    widths: tuple[int, ...] = ()
    levels: tuple[tuple[int, int], ...] = ()


class StackState(TypedDict):
    """What a `HeadStack` needs to go on: its weights, and the optimiser's state."""

    parameters: dict[str, Tensor]
    optimiser: dict[str, object]


class FeatureSource(Protocol):
    """Where features of training crops come from: a fresh pass of the encoder, or a cache of one."""

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def batches(self, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each batch of example indices: features (b, ...) float32 and labels (b,), 1.0 for synthetic.

        A batch is smaller, down to empty, where examples were left out as unreadable.
        """
        ...


class HeadStack:
    """Heads of one shape that are fitted together.

    Args:
        recipes: of equal `_stack_key`.
        dims: of the encoder.
    """

    def __init__(self, recipes: Sequence[Recipe], dims: EncoderDims, device: torch.device) -> None:
        self.recipes, self.dims, self.device = tuple(recipes), dims, device
        modules = [_LossInputs(build_head(recipe, dims)) for recipe in recipes]
        stacked, _ = stack_module_state(modules)
        self.skeleton = copy.deepcopy(modules[0]).to("meta")
        self.parameters = {name: p.detach().to(device).requires_grad_() for name, p in stacked.items()}
        self.xi = torch.tensor([recipe.contrastive_weight for recipe in recipes], device=device)
        first = recipes[0]
        betas = first.adam_betas[0], first.adam_betas[1]
        self.optimiser = torch.optim.Adam(self.parameters.values(), first.lr, betas, first.adam_eps)
        self._reads_maps = feature_of(first, dims) in MAPS
        self._averages_blocks = torch.tensor([recipe.ablate == "tie" for recipe in recipes], device=device)

    def __len__(self) -> int:
        return len(self.recipes)

    @property
    def zero_results(self) -> tuple[Tensor, Tensor]:
        """Losses and right answers of an empty batch, (heads,)."""
        return torch.zeros(len(self)), torch.zeros(len(self))

    def step(self, features: Tensor, labels: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        """One step of every head; features (b, ...), labels (b,). Losses and right answers, (heads,).

        Of maps, the graph of a few crops at a time is in memory: the loss reads all embeddings of the batch,
        and its gradient by each is then led through the head, part by part. That is the same gradient.
        """
        self.skeleton.train()
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.zero_grad()
        if self._reads_maps:
            embeddings = self._embed_in_parts(features).requires_grad_()
            losses, right = self._losses_of_embeddings(embeddings, labels)
            losses.sum().backward()  # type: ignore[no-untyped-call]
            assert embeddings.grad is not None
            gradients = torch.split(embeddings.grad, MAPS_AT_ONCE, dim=1)
            for part, gradient in zip(torch.split(features, MAPS_AT_ONCE), gradients, strict=True):
                self._embed(part).backward(gradient)  # type: ignore[no-untyped-call]
        else:
            losses, right = self._losses(features, labels)
            losses.sum().backward()  # type: ignore[no-untyped-call]
        self._freeze_averages()
        self.optimiser.step()
        return losses.detach(), right

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """Features (b, ...) -> (heads, b), without dropout."""
        self.skeleton.eval()
        if self._reads_maps:
            return self._classify(self._embed_in_parts(features))
        inputs = self._inputs(features)
        result: Tensor = vmap(lambda p: functional_call(self.skeleton, p, (inputs,))[0])(self.parameters)
        return result

    @torch.no_grad()
    def losses(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Losses and right answers without dropout, (heads,): for validation."""
        self.skeleton.eval()
        if self._reads_maps:
            return self._losses_of_embeddings(self._embed_in_parts(features), labels)
        return self._losses(features, labels)

    def heads(self) -> list[Head]:
        """The fitted heads; each has the layout of its published kind and accepts all blocks."""
        states = [
            {name.removeprefix("head."): p[i].detach().cpu().clone() for name, p in self.parameters.items()}
            for i in range(len(self))
        ]
        return [
            complete_head(recipe, state, self.dims)
            for recipe, state in zip(self.recipes, states, strict=True)
        ]

    def state(self) -> StackState:
        """All that a later `restore` needs to go on as if never stopped."""
        parameters = {name: p.detach().cpu() for name, p in self.parameters.items()}
        return {"parameters": parameters, "optimiser": self.optimiser.state_dict()}

    @torch.no_grad()
    def restore(self, state: StackState) -> None:
        """Take over the state of an equal stack."""
        for name, parameter in self.parameters.items():
            parameter.copy_(state["parameters"][name])
        self.optimiser.load_state_dict(state["optimiser"])

    def _losses(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        inputs, labels, first = self._inputs(features), labels.to(self.device), self.recipes[0]

        def loss_of_head(parameters: dict[str, Tensor], xi: Tensor) -> tuple[Tensor, Tensor]:
            logits, embedding = functional_call(self.skeleton, parameters, (inputs,))
            right = ((logits.detach() > 0) == (labels > 0.5)).sum()
            return rine_loss(logits, embedding, labels, xi, first.temperature, first.base_temperature), right

        result: tuple[Tensor, Tensor] = vmap(loss_of_head, randomness="different")(self.parameters, self.xi)
        return result

    def _losses_of_embeddings(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The same of z (heads, b, d')."""
        labels, first = labels.to(self.device), self.recipes[0]

        def loss_of_head(logits: Tensor, embedding: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
            right = ((logits.detach() > 0) == (labels > 0.5)).sum()
            loss = rine_loss(logits, embedding, labels, xi, first.temperature, first.base_temperature)
            return loss, right

        result: tuple[Tensor, Tensor] = vmap(loss_of_head)(self._classify(embeddings), embeddings, self.xi)
        return result

    def _embed(self, features: Tensor) -> Tensor:
        """Features (b, ...) of any precision -> z (heads, b, d')."""
        inputs = features.to(self.device).float()
        result: Tensor = vmap(lambda p: functional_call(self.skeleton, p, (inputs, "embed")))(self.parameters)
        return result

    @torch.no_grad()
    def _embed_in_parts(self, features: Tensor) -> Tensor:
        return torch.cat([self._embed(part) for part in torch.split(features, MAPS_AT_ONCE)], dim=1)

    def _classify(self, embeddings: Tensor) -> Tensor:
        """z (heads, b, d') -> logits (heads, b)."""

        def classify(parameters: dict[str, Tensor], embedding: Tensor) -> Tensor:
            logits: Tensor = functional_call(self.skeleton, parameters, (embedding, "classify"))
            return logits

        result: Tensor = vmap(classify, randomness="different")(self.parameters, embeddings)
        return result

    def _inputs(self, features: Tensor) -> Tensor:
        """The features that these heads use, on their device: in one ablation the last block alone."""
        inputs = features[:, -1:] if self.recipes[0].ablate == "intermediate" else features
        return inputs.to(self.device)

    def _freeze_averages(self) -> None:
        """Without the TIE all blocks weigh the same: its parameters are 0 and must stay 0."""
        alpha = self.parameters.get("head.alpha")
        if alpha is not None and alpha.grad is not None:
            alpha.grad[self._averages_blocks] = 0


class _LossInputs(nn.Module):
    """A head whose forward returns all that the loss needs, since `functional_call` calls only forward.

    Heads on maps draw nothing at random before their classifier, so their two parts can be called apart.
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(
        self, inputs: Tensor, part: Literal["embed", "classify"] | None = None
    ) -> tuple[Tensor, Tensor] | Tensor:
        if part == "classify":
            return self.head.classify(inputs)
        embedding = self.head.embed(inputs)
        return embedding if part == "embed" else (self.head.classify(embedding), embedding)


def build_head(recipe: Recipe, dims: EncoderDims) -> Head:
    """An untrained head; its weights follow from the recipe's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if recipe.head == "linear":
            return LinearProbe(dims.output_dim)
        if recipe.head == "fpn" and dims.levels:
            return FpnLevelsHead(dims.levels, recipe.proj_dim, recipe.dropout)
        if recipe.head == "fpn":
            return FpnHead(dims.num_blocks, dims.embed_dim, recipe.proj_dim, recipe.dropout)
        head: RineHead | RineDepthsHead
        if dims.widths:
            head = RineDepthsHead(dims.widths, recipe.proj_dim, recipe.num_proj_layers, recipe.dropout)
        else:
            num_blocks = 1 if recipe.ablate == "intermediate" else dims.num_blocks
            shape = num_blocks, dims.embed_dim, recipe.proj_dim, recipe.num_proj_layers
            head = RineHead(*shape, recipe.dropout)
    if recipe.ablate == "tie":
        nn.init.zeros_(head.alpha)
    return head


def complete_head(recipe: Recipe, state: dict[str, Tensor], dims: EncoderDims) -> Head:
    """A fitted head as others load it.

    A head that was fitted to the last block alone gets a TIE that ignores the other blocks.
    """
    if recipe.ablate == "intermediate":
        alpha = torch.full((1, dims.num_blocks, recipe.proj_dim), _CLOSED)
        alpha[:, -1] = 0
        recipe, state = replace(recipe, ablate="none"), state | {"alpha": alpha}
    head = build_head(recipe, dims)
    head.load_state_dict(dict(head.named_buffers()) | state, strict=True)
    return head.eval().requires_grad_(False)


def family_of(recipe: Recipe, dims: EncoderDims) -> str:
    """Name of the family of heads (`sidscan.models.families`) that the recipe's head on the encoder is of."""
    if recipe.head == "rine" and dims.widths:
        return "rine_depths"
    return "fpn_levels" if recipe.head == "fpn" and dims.levels else recipe.head


def feature_of(recipe: Recipe, dims: EncoderDims) -> Feature:
    """The feature of the encoder that the recipe's head needs."""
    family = find_family(family_of(recipe, dims))
    assert isinstance(family, HeadFamily)
    return family.head_class().feature


def check_fits(recipe: Recipe, dims: EncoderDims) -> None:
    """Refuse a head that the encoder has no features for.

    Raises:
        UsageError: it has no embedding, or no last block that is like the others.
    """
    if recipe.head == "linear" and not dims.output_dim:
        raise UsageError("this encoder has no image embedding for the head linear", "Choose --head rine.")
    if recipe.ablate == "intermediate" and dims.widths:
        raise UsageError(
            "ablate 'intermediate' needs an encoder whose blocks are of one width", "Choose a ViT."
        )


def build_stacks(
    recipes: Sequence[Recipe], dims: EncoderDims, device: torch.device, at_once: int = 8
) -> list[HeadStack]:
    """Recipes of one schedule as stacks of at most ``at_once`` heads; heads of one shape go together."""
    by_shape: dict[tuple[object, ...], list[Recipe]] = {}
    for recipe in recipes:
        by_shape.setdefault(_stack_key(recipe), []).append(recipe)
    return [
        HeadStack(same_shape[start : start + at_once], dims, device)
        for same_shape in by_shape.values()
        for start in range(0, len(same_shape), at_once)
    ]


def _stack_key(recipe: Recipe) -> tuple[object, ...]:
    """What two heads must share to have tensors of the same shapes, one loss and one optimiser."""
    shape = recipe.head, recipe.num_proj_layers, recipe.proj_dim, recipe.ablate == "intermediate"
    loss = recipe.dropout, recipe.temperature, recipe.base_temperature
    return *shape, *loss, recipe.adam_betas, recipe.adam_eps


def schedule_key(recipe: Recipe) -> tuple[object, ...]:
    """What two recipes must share to see the same batches at the same learning rate."""
    rates = recipe.lr, recipe.lr_milestones, recipe.lr_divisor
    crops = recipe.data_fraction, recipe.seed, *recipe.augmentation.values()
    return recipe.head, recipe.epochs, recipe.batch, *rates, *crops


def epoch_batches(examples: int, recipe: Recipe, epoch: int) -> list[list[int]]:
    """Example indices of an epoch's batches, the last one smaller (published code: drop_last=False).

    As published, the list is shuffled once, cut to ``data_fraction``, and shuffled again in every epoch.
    """
    chosen = list(range(examples))
    random.Random(recipe.seed).shuffle(chosen)
    chosen = chosen[: int(examples * recipe.data_fraction)]
    random.Random(f"{recipe.seed} {epoch}").shuffle(chosen)
    return [chosen[start : start + recipe.batch] for start in range(0, len(chosen), recipe.batch)]


@dataclass(frozen=True)
class FitPosition:
    """The batch that a fit takes next."""

    epoch: int = 0
    batch: int = 0


class FitStep(NamedTuple):
    """One batch that is done.

    Attributes:
        after: the position that comes next.
        seen: number of images in the batch.
        results: per stack its losses and right answers, each (heads,).
    """

    after: FitPosition
    seen: int
    results: list[tuple[Tensor, Tensor]]


def fit_heads(
    stacks: Sequence[HeadStack], source: FeatureSource, recipe: Recipe, start: FitPosition
) -> Generator[FitStep, None, None]:
    """Fit heads that share ``recipe``'s schedule, from ``start`` on; yield after every batch.

    Dropout draws from torch's global generator, which the caller seeds or restores.

    Raises:
        UsageError: ``data_fraction`` leaves no image.
    """
    if int(len(source) * recipe.data_fraction) < 1:
        raise UsageError(
            f"{recipe.data_fraction:g} of {len(source)} images leaves none",
            "Choose a larger --data-fraction.",
        )
    feature = feature_of(recipe, stacks[0].dims)
    for epoch in range(start.epoch, recipe.epochs):
        order = epoch_batches(len(source), recipe, epoch)
        first = start.batch if epoch == start.epoch else 0
        batches = source.batches(epoch, order[first:])
        for number, (features, labels) in enumerate(batches, first + 1):
            labels = labels.to(stacks[0].device)
            if feature not in MAPS:  # of maps, each step moves a part at a time
                features = features.to(stacks[0].device)
            lr = recipe.lr_at(epoch)
            results = [
                stack.step(features, labels, lr) if len(labels) else stack.zero_results for stack in stacks
            ]
            ended = number == len(order)
            yield FitStep(FitPosition(epoch + ended, 0 if ended else number), len(labels), results)
