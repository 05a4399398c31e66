"""Stacks of heads, ablations, the order of images, and stored recipes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from sidscan.errors import UsageError
from sidscan.models.heads.base import Head
from sidscan.models.heads.rine import RineHead
from sidscan.training.common.losses import rine_loss
from sidscan.training.rine import recipe as recipes
from sidscan.training.rine.fit import (
    EncoderDims,
    HeadStack,
    build_head,
    build_stacks,
    complete_head,
    epoch_batches,
    schedule_key,
)
from sidscan.training.rine.recipe import PRESETS, Recipe, grid
from sidscan.training.rine.studies import BYTES_PER_WEIGHT, count_weights, schedule_groups

DIMS = EncoderDims(num_blocks=3, embed_dim=6, output_dim=4)
CPU = torch.device("cpu")
SMALL = Recipe(num_proj_layers=2, proj_dim=5)


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


def test_a_stack_trains_as_the_published_loop() -> None:
    """Train a single module with plain Adam, batch by batch."""
    stack = _without_dropout(HeadStack([SMALL], DIMS, CPU))
    head = build_head(SMALL, DIMS).eval()
    assert isinstance(head, RineHead)
    adam = torch.optim.Adam(head.parameters(), lr=1e-3)
    for number in range(5):
        features, labels = _batch(number)
        losses, right = stack.step(features, labels, 1e-3)
        z = head.embed(features)
        logits = head.classify(z)
        loss = rine_loss(logits, z, labels, torch.tensor(SMALL.xi))
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        assert losses.item() == pytest.approx(loss.item(), rel=1e-5)
        assert right.item() == ((logits > 0) == (labels > 0.5)).sum().item()
    for name, tensor in _states(stack)[0].items():
        assert torch.allclose(tensor, head.state_dict()[name], atol=1e-5), name


def test_heads_of_a_stack_do_not_influence_each_other() -> None:
    wanted = [replace(SMALL, xi=xi, seed=seed) for xi, seed in ((0.1, 0), (0.4, 0), (0.4, 1))]
    together = _without_dropout(HeadStack(wanted, DIMS, CPU))
    alone = [_without_dropout(HeadStack([recipe], DIMS, CPU)) for recipe in wanted]
    for number in range(5):
        losses, right = together.step(*_batch(number), 1e-2)
        for index, stack in enumerate(alone):
            loss_alone, right_alone = stack.step(*_batch(number), 1e-2)
            assert losses[index].item() == pytest.approx(loss_alone.item(), rel=1e-4)
            assert right[index] == right_alone[0]
    features = _batch(9)[0]
    for index, stack in enumerate(alone):
        assert torch.allclose(together.logits(features)[index], stack.logits(features)[0], atol=1e-4)
        assert torch.allclose(together.heads()[index](features), stack.heads()[0](features), atol=1e-4)


def test_every_head_has_its_own_dropout() -> None:
    stack = HeadStack([SMALL, SMALL], DIMS, CPU)
    losses, _ = stack.step(*_batch(0), 1e-3)
    assert losses[0] != losses[1]


def test_without_the_importance_estimator_blocks_are_averaged() -> None:
    stack = HeadStack([replace(SMALL, ablate="tie"), SMALL], DIMS, CPU)
    for number in range(3):
        stack.step(*_batch(number), 1e-2)
    averaging, weighing = stack.heads()
    assert isinstance(averaging, RineHead)
    assert isinstance(weighing, RineHead)
    assert (averaging.alpha == 0).all()
    assert not torch.equal(weighing.alpha, build_head(SMALL, DIMS).state_dict()["alpha"])
    features = _batch(9)[0]
    mean = averaging.proj2(averaging.proj1(features).mean(dim=1))
    assert torch.allclose(averaging(features), averaging.classify(mean), atol=1e-6)


def test_without_intermediate_blocks_only_the_last_block_counts() -> None:
    stack = HeadStack([replace(SMALL, ablate="intermediate")], DIMS, CPU)
    for number in range(3):
        stack.step(*_batch(number), 1e-2)
    (head,) = stack.heads()
    features, others = _batch(8)[0], _batch(9)[0]
    others[:, -1] = features[:, -1]
    assert torch.equal(head(features), head(others))
    assert torch.allclose(head(features), stack.logits(features)[0], atol=1e-6)
    assert isinstance(head, RineHead)
    assert head.alpha.shape == (1, 3, 5), "like any head, it has a weight for every block of the encoder"


@pytest.mark.parametrize(
    ("recipe", "shape"),
    [
        pytest.param(Recipe(head="linear"), (8, 4), id="linear"),
        pytest.param(Recipe(head="fpn", proj_dim=3), (8, 3, 6, 2, 2), id="fpn"),
    ],
)
def test_other_heads_are_fitted_the_same_way(recipe: Recipe, shape: tuple[int, ...]) -> None:
    stack = HeadStack([recipe], DIMS, CPU)
    features, labels = torch.randn(shape, generator=torch.Generator().manual_seed(0)), _batch(0)[1]
    first = stack.losses(features, labels)[0].item()
    for _ in range(60):
        stack.step(features, labels, 1e-2)
    assert stack.losses(features, labels)[0].item() < first
    head: Head = complete_head(recipe, dict(stack.heads()[0].state_dict()), DIMS)
    assert torch.allclose(head(features), stack.logits(features)[0], atol=1e-5)


def test_ufds_probe_has_no_contrastive_loss() -> None:
    assert Recipe(head="linear").contrastive_weight == 0


def test_the_grid_is_that_of_the_paper() -> None:
    recipe_grid = grid(Recipe())
    assert len({(r.xi, r.num_proj_layers, r.proj_dim) for r in recipe_grid}) == len(recipe_grid) == 48
    assert {r.xi for r in recipe_grid} == {0.1, 0.2, 0.4, 0.8}
    assert {r.num_proj_layers for r in recipe_grid} == {1, 2, 4}
    assert {r.proj_dim for r in recipe_grid} == {128, 256, 512, 1024}
    small = [replace(r, proj_dim=r.proj_dim // 128) for r in recipe_grid]
    stacks = build_stacks(small, DIMS, CPU)
    assert [len(stack) for stack in stacks] == [4] * 12
    assert len({schedule_key(recipe) for recipe in recipe_grid}) == 1


def test_the_number_of_heads_in_a_stack_is_limited_by_memory() -> None:
    wanted = grid(Recipe())
    assert count_weights(wanted[0], DIMS) == sum(
        parameter.numel() for parameter in build_head(wanted[0], DIMS).parameters()
    )
    everything = sum(count_weights(recipe, DIMS) for recipe in wanted) * BYTES_PER_WEIGHT
    assert list(schedule_groups(wanted, DIMS, everything)) == [wanted]
    parts = list(schedule_groups(wanted, DIMS, everything // 3))
    assert [recipe for part in parts for recipe in part] == wanted
    assert len(parts) > 2
    for part in parts:
        assert sum(count_weights(recipe, DIMS) for recipe in part) * BYTES_PER_WEIGHT <= everything // 3
    assert [len(part) for part in schedule_groups(wanted, DIMS, 1)] == [1] * 48


def test_the_ldm_grid_is_that_of_the_authors() -> None:
    ldm_grid = recipes.ldm_grid(Recipe())
    assert len({(r.xi, r.num_proj_layers, r.proj_dim, r.epochs) for r in ldm_grid}) == len(ldm_grid) == 24
    with pytest.raises(UsageError, match="the study grid needs the head rine, not linear"):
        recipes.ldm_grid(Recipe(head="linear"))


@pytest.mark.parametrize(
    ("name", "xi", "num_proj_layers", "proj_dim", "epochs", "classes"),
    [
        ("progan-1class", 0.1, 4, 1024, 1, 1),
        ("progan-2class", 0.2, 4, 128, 1, 2),
        ("progan-4class", 0.2, 2, 1024, 1, 4),
        ("ldm", 0.4, 4, 1024, 5, 0),
    ],
)
def test_presets_are_the_published_heads(
    name: str, xi: float, num_proj_layers: int, proj_dim: int, epochs: int, classes: int
) -> None:
    recipe = PRESETS[name].recipe
    assert (recipe.xi, recipe.epochs) == (xi, epochs)
    assert (recipe.num_proj_layers, recipe.proj_dim) == (num_proj_layers, proj_dim)
    assert (recipe.batch, recipe.lr, recipe.seed, recipe.data_fraction) == (128, 1e-3, 0, 1.0)
    assert len(PRESETS[name].classes) == classes


def test_the_learning_rate_falls_at_epochs_6_and_11() -> None:
    rates = [Recipe(epochs=15).lr_at(epoch) for epoch in range(15)]
    assert rates == pytest.approx([1e-3] * 5 + [1e-4] * 5 + [1e-5] * 5)


def test_batches_are_a_shuffled_partition() -> None:
    recipe = Recipe(batch=8)
    first, second = epoch_batches(50, recipe, 0), epoch_batches(50, recipe, 1)
    assert [len(batch) for batch in first] == [8] * 6 + [2], "the last one is kept (drop_last=False)"
    for batches in (first, second):
        assert sorted(number for batch in batches for number in batch) == list(range(50))
    assert first != second
    assert first == epoch_batches(50, recipe, 0)
    assert first != epoch_batches(50, replace(recipe, seed=1), 0)


def test_a_data_fraction_is_the_same_subset_in_every_epoch_and_nested() -> None:
    parts = {
        fraction: [
            {n for batch in epoch_batches(50, Recipe(data_fraction=fraction), epoch) for n in batch}
            for epoch in (0, 1)
        ]
        for fraction in (0.2, 0.5, 1.0)
    }
    for fraction, (first, second) in parts.items():
        assert first == second
        assert len(first) == 50 * fraction
    assert parts[0.2][0] < parts[0.5][0] < parts[1.0][0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"data_fraction": 0.0},
        {"data_fraction": 1.5},
        {"xi": -1.0},
        {"num_proj_layers": 0},
        {"lr": 0.0},
        {"head": "fpn", "ablate": "tie"},
    ],
)
def test_impossible_recipes(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(SMALL, **wrong)  # type: ignore[arg-type]


def test_labels_tell_recipes_apart() -> None:
    different = [
        *grid(Recipe()),
        *recipes.ablations(Recipe(proj_dim=64)),
        *recipes.set_sizes(Recipe(proj_dim=32)),
    ]
    different += [Recipe(proj_dim=16, seed=seed, epochs=epochs) for seed in (0, 1) for epochs in (1, 3)]
    for head in ("rine", "fpn", "linear"):
        base = Recipe(head=head, proj_dim=8)
        different += [base, replace(base, lr=0.5), replace(base, batch=2), replace(base, lr_milestones=(2,))]
        different += [replace(base, xi=0.7)] if head != "linear" else []
    assert len({recipe.label for recipe in different}) == len(different)


@pytest.mark.parametrize(
    ("recipe", "label"),
    [
        (Recipe(), "rine-xi0.2-q2-d1024"),
        (Recipe(ablate="tie", seed=3), "rine-xi0.2-q2-d1024-ablate-tie-seed3"),
        (Recipe(data_fraction=0.5, lr_milestones=(2, 3)), "rine-xi0.2-q2-d1024-fraction0.5-milestones-2-3"),
        (Recipe(head="fpn", proj_dim=8, epochs=3), "fpn-xi0.2-d8-epochs3"),
        (Recipe(head="linear", lr=0.01), "linear-lr0.01"),
    ],
)
def test_labels_name_what_differs_from_the_defaults(recipe: Recipe, label: str) -> None:
    assert recipe.label == label


def test_stored_recipes_can_be_read() -> None:
    recipe = Recipe(ablate="tie", num_proj_layers=4, proj_dim=8, data_fraction=0.5, lr_milestones=(2,))
    assert Recipe.from_dict(json.loads(recipe.to_json())) == recipe


def test_recipes_of_sidscan_0_1_can_be_read() -> None:
    """Checkpoints of format 1 use other names for five fields."""
    stored = {
        "head": "rine", "without": "tie", "xi": 0.4, "layers": 4, "projected": 8, "epochs": 3, "batch": 16,
        "lr": 0.01, "reduce_at": [2, 5], "share": 0.5, "seed": 7,
    }  # fmt: skip
    assert Recipe.from_dict(stored) == Recipe(
        ablate="tie", xi=0.4, num_proj_layers=4, proj_dim=8, epochs=3, batch=16,
        lr=0.01, lr_milestones=(2, 5), data_fraction=0.5, seed=7,
    )  # fmt: skip


def test_a_stored_recipe_with_unknown_keys_is_refused() -> None:
    with pytest.raises(UsageError, match="a stored recipe has unknown keys: momentum"):
        Recipe.from_dict({"head": "rine", "momentum": 0.9})


@pytest.mark.parametrize(
    ("dims", "shape"),
    [(DIMS, (3, 6, 2, 2)), (EncoderDims(2, 2, 0, (2, 3), ((2, 4), (3, 2))), (44,))],
    ids=["maps", "levels"],
)
def test_maps_go_through_a_head_in_parts(
    dims: EncoderDims, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contrastive loss couples all crops of a batch; the gradient is that of the whole batch."""
    wanted = [Recipe(head="fpn", proj_dim=5, xi=xi) for xi in (0.0, 0.5)]
    features = torch.randn(8, *shape, generator=torch.Generator().manual_seed(0))
    _, labels = _batch(0)
    largest: list[int] = []
    original = HeadStack._embed

    def embed(self: HeadStack, part: torch.Tensor) -> torch.Tensor:
        largest.append(len(part))
        return original(self, part)

    monkeypatch.setattr(HeadStack, "_embed", embed)
    monkeypatch.setattr("sidscan.training.rine.fit.MAPS_AT_ONCE", 3)
    stack = _without_dropout(HeadStack(wanted, dims, CPU))
    losses, right = stack.step(features, labels, 1e-3)
    assert largest == [3, 3, 2] * 2, "once for the loss, once for the gradient"
    for index, recipe in enumerate(wanted):
        head = build_head(recipe, dims).eval()
        z = head.embed(features)
        logits = head.classify(z)
        loss = rine_loss(logits, z, labels, torch.tensor(recipe.xi))
        loss.backward()  # type: ignore[no-untyped-call]
        assert losses[index].item() == pytest.approx(loss.item(), rel=1e-5)
        assert right[index] == ((logits > 0) == (labels > 0.5)).sum()
        for name, parameter in head.named_parameters():
            gradient = stack.parameters[f"head.{name}"].grad
            assert gradient is not None
            assert torch.allclose(gradient[index], parameter.grad, atol=1e-5), name  # type: ignore[arg-type]
