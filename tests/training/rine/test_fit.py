"""Stacks of heads, ablations, order of the pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sidscan.errors import UsageError
from sidscan.models.heads.base import Head
from sidscan.models.heads.rine import RineHead
from sidscan.training.rine import recipe as recipes
from sidscan.training.rine.fit import HeadStack, Shape, batches_of, build, schedule_key, stacks_of, whole_head
from sidscan.training.rine.losses import rine_loss
from sidscan.training.rine.recipe import PRESETS, Recipe, grid
from sidscan.training.rine.studies import BYTES_PER_WEIGHT, groups, weights

SHAPE = Shape(blocks=3, width=6, embedding=4)
CPU = torch.device("cpu")
SMALL = Recipe(layers=2, projected=5)


def _without_dropout(stack: HeadStack) -> HeadStack:
    for module in stack.skeleton.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return stack


def _batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(number)
    return torch.randn(8, 3, 6, generator=generator), torch.tensor([1.0, 0, 1, 0, 1, 0, 0, 0])


def _states(stack: HeadStack) -> list[dict[str, torch.Tensor]]:
    return [head.state_dict() for head in stack.heads()]


def test_a_stack_is_the_published_loop() -> None:
    """Plain module, plain Adam, batch by batch."""
    stack = _without_dropout(HeadStack([SMALL], SHAPE, CPU))
    head = build(SMALL, SHAPE).eval()
    assert isinstance(head, RineHead)
    adam = torch.optim.Adam(head.parameters(), lr=1e-3)
    for number in range(5):
        readings, labels = _batch(number)
        losses, right = stack.step(readings, labels, 1e-3)
        z = head.embed(readings)
        logits = head.classify(z)
        loss = rine_loss(logits, z, labels, torch.tensor(SMALL.xi))
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        assert losses.item() == pytest.approx(loss.item(), rel=1e-5)
        assert right.item() == ((logits > 0) == (labels > 0.5)).sum().item()
    for name, tensor in _states(stack)[0].items():
        assert torch.allclose(tensor, head.state_dict()[name], atol=1e-5), name


def test_heads_of_a_stack_do_not_meet() -> None:
    wanted = [replace(SMALL, xi=xi, seed=seed) for xi, seed in ((0.1, 0), (0.4, 0), (0.4, 1))]
    together = _without_dropout(HeadStack(wanted, SHAPE, CPU))
    alone = [_without_dropout(HeadStack([recipe], SHAPE, CPU)) for recipe in wanted]
    for number in range(5):
        losses, right = together.step(*_batch(number), 1e-2)
        for place, stack in enumerate(alone):
            own, own_right = stack.step(*_batch(number), 1e-2)
            assert losses[place].item() == pytest.approx(own.item(), rel=1e-4)
            assert right[place] == own_right[0]
    readings = _batch(9)[0]
    for place, stack in enumerate(alone):
        assert torch.allclose(together.logits(readings)[place], stack.logits(readings)[0], atol=1e-4)
        assert torch.allclose(together.heads()[place](readings), stack.heads()[0](readings), atol=1e-4)


def test_every_head_has_its_own_dropout() -> None:
    stack = HeadStack([SMALL, SMALL], SHAPE, CPU)
    losses, _ = stack.step(*_batch(0), 1e-3)
    assert losses[0] != losses[1]


def test_without_the_tie_blocks_are_averaged() -> None:
    stack = HeadStack([replace(SMALL, without="tie"), SMALL], SHAPE, CPU)
    for number in range(3):
        stack.step(*_batch(number), 1e-2)
    averaging, weighing = stack.heads()
    assert isinstance(averaging, RineHead)
    assert isinstance(weighing, RineHead)
    assert (averaging.alpha == 0).all()
    assert not torch.equal(weighing.alpha, build(SMALL, SHAPE).state_dict()["alpha"])
    readings = _batch(9)[0]
    mean = averaging.proj2(averaging.proj1(readings).mean(dim=1))
    assert torch.allclose(averaging(readings), averaging.classify(mean), atol=1e-6)


def test_without_intermediate_blocks_the_last_one_alone_counts() -> None:
    stack = HeadStack([replace(SMALL, without="intermediate")], SHAPE, CPU)
    for number in range(3):
        stack.step(*_batch(number), 1e-2)
    (head,) = stack.heads()
    readings, others = _batch(8)[0], _batch(9)[0]
    others[:, -1] = readings[:, -1]
    assert torch.equal(head(readings), head(others))
    assert torch.allclose(head(readings), stack.logits(readings)[0], atol=1e-6)
    assert isinstance(head, RineHead)
    assert (head.num_blocks, head.embed_dim) == (3, 6), "it fits the encoder as any other head does"


@pytest.mark.parametrize(
    ("recipe", "shape"),
    [
        pytest.param(Recipe(head="linear"), (8, 4), id="linear"),
        pytest.param(Recipe(head="fpn", projected=3), (8, 3, 6, 2, 2), id="fpn"),
    ],
)
def test_other_heads_are_fitted_alike(recipe: Recipe, shape: tuple[int, ...]) -> None:
    stack = HeadStack([recipe], SHAPE, CPU)
    readings, labels = torch.randn(shape, generator=torch.Generator().manual_seed(0)), _batch(0)[1]
    first = stack.losses(readings, labels)[0].item()
    for _ in range(60):
        stack.step(readings, labels, 1e-2)
    assert stack.losses(readings, labels)[0].item() < first
    head: Head = whole_head(recipe, dict(stack.heads()[0].state_dict()), SHAPE)
    assert torch.allclose(head(readings), stack.logits(readings)[0], atol=1e-5)


def test_ufds_probe_has_no_contrastive_loss() -> None:
    assert Recipe(head="linear").contrastive_weight == 0


def test_the_grid_is_the_papers() -> None:
    made = grid(Recipe())
    assert len({(r.xi, r.layers, r.projected) for r in made}) == len(made) == 48
    assert {r.xi for r in made} == {0.1, 0.2, 0.4, 0.8}
    assert {r.layers for r in made} == {1, 2, 4}
    assert {r.projected for r in made} == {128, 256, 512, 1024}
    small = [replace(r, projected=r.projected // 128) for r in made]
    stacks = stacks_of(small, SHAPE, CPU)
    assert [len(stack) for stack in stacks] == [4] * 12
    assert len({schedule_key(recipe) for recipe in made}) == 1


def test_no_more_heads_go_together_than_memory_holds() -> None:
    wanted = grid(Recipe())
    one = weights(wanted[0], SHAPE)
    assert one == sum(parameter.numel() for parameter in build(wanted[0], SHAPE).parameters())
    everything = sum(weights(recipe, SHAPE) for recipe in wanted) * BYTES_PER_WEIGHT
    assert list(groups(wanted, SHAPE, everything)) == [wanted]
    parts = list(groups(wanted, SHAPE, everything // 3))
    assert [recipe for part in parts for recipe in part] == wanted
    assert len(parts) > 2
    for part in parts:
        assert sum(weights(recipe, SHAPE) for recipe in part) * BYTES_PER_WEIGHT <= everything // 3
    assert [len(part) for part in groups(wanted, SHAPE, 1)] == [1] * 48


def test_the_ldm_grid_is_the_authors() -> None:
    made = recipes.ldm_grid(Recipe())
    assert len({(r.xi, r.layers, r.projected, r.epochs) for r in made}) == len(made) == 24
    with pytest.raises(UsageError, match="the grid are of RINE's head, not of linear"):
        recipes.ldm_grid(Recipe(head="linear"))


@pytest.mark.parametrize(
    ("name", "xi", "layers", "projected", "epochs", "classes"),
    [
        ("progan-1class", 0.1, 4, 1024, 1, 1),
        ("progan-2class", 0.2, 4, 128, 1, 2),
        ("progan-4class", 0.2, 2, 1024, 1, 4),
        ("ldm", 0.4, 4, 1024, 5, 0),
    ],
)
def test_presets_are_the_published_heads(
    name: str, xi: float, layers: int, projected: int, epochs: int, classes: int
) -> None:
    recipe = PRESETS[name].recipe
    assert (recipe.xi, recipe.layers, recipe.projected, recipe.epochs) == (xi, layers, projected, epochs)
    assert (recipe.batch, recipe.lr, recipe.seed, recipe.share) == (128, 1e-3, 0, 1.0)
    assert len(PRESETS[name].classes) == classes


def test_the_learning_rate_falls_at_epochs_6_and_11() -> None:
    rates = [Recipe(epochs=15).lr_at(epoch) for epoch in range(15)]
    assert rates == pytest.approx([1e-3] * 5 + [1e-4] * 5 + [1e-5] * 5)


def test_batches_are_a_shuffled_partition() -> None:
    recipe = Recipe(batch=8)
    first, second = batches_of(50, recipe, 0), batches_of(50, recipe, 1)
    assert [len(batch) for batch in first] == [8] * 6 + [2], "the last one is kept (drop_last=False)"
    for batches in (first, second):
        assert sorted(number for batch in batches for number in batch) == list(range(50))
    assert first != second
    assert first == batches_of(50, recipe, 0)
    assert first != batches_of(50, replace(recipe, seed=1), 0)


def test_a_share_is_the_same_part_in_every_epoch_and_grows() -> None:
    parts = {
        share: [{n for b in batches_of(50, Recipe(share=share), epoch) for n in b} for epoch in (0, 1)]
        for share in (0.2, 0.5, 1.0)
    }
    for share, (one, other) in parts.items():
        assert one == other
        assert len(one) == 50 * share
    assert parts[0.2][0] < parts[0.5][0] < parts[1.0][0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 0.0},
        {"share": 1.5},
        {"xi": -1.0},
        {"layers": 0},
        {"lr": 0.0},
        {"head": "fpn", "without": "tie"},
    ],
)
def test_impossible_recipes(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(SMALL, **wrong)  # type: ignore[arg-type]


def test_labels_tell_recipes_apart() -> None:
    made = [
        *grid(Recipe()),
        *recipes.ablations(Recipe(projected=64)),
        *recipes.set_sizes(Recipe(projected=32)),
    ]
    made += [Recipe(projected=16, seed=seed, epochs=epochs) for seed in (0, 1) for epochs in (1, 3)]
    for head in ("rine", "fpn", "linear"):
        base = Recipe(head=head, projected=8)
        made += [base, replace(base, lr=0.5), replace(base, batch=2), replace(base, reduce_at=(2,))]
        made += [replace(base, xi=0.7)] if head != "linear" else []
    assert len({recipe.label for recipe in made}) == len(made)
