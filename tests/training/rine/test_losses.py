"""Loss and gradients compared with the equations, in float64, with derivatives by the complex step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sidscan.training.common.losses import supervised_contrastive
from sidscan.training.rine.fit import EncoderDims, HeadStack, build_head
from sidscan.training.rine.recipe import PRESETS, Recipe

Numbers = NDArray[np.complex128]
DIMS = EncoderDims(num_blocks=3, embed_dim=5, output_dim=4)
CPU = torch.device("cpu")


def forward(weights: dict[str, Numbers], features: Numbers) -> tuple[Numbers, Numbers]:
    """RINE's equations: features (b, n, d) -> logits (b,), z (b, d')."""

    def linear(values: Numbers, name: str) -> Numbers:
        outputs: Numbers = values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        return outputs

    def relu(values: Numbers) -> Numbers:
        return np.where(values.real > 0, values, 0)

    layers = sum(1 for name in weights if name.startswith("proj1.") and name.endswith("weight"))
    values = features
    for layer in range(layers):
        values = relu(linear(values, f"proj1.{1 + 3 * layer}"))
    importance = np.exp(weights["alpha"]) / np.exp(weights["alpha"]).sum(axis=1, keepdims=True)
    z = (importance * values).sum(axis=1)
    for layer in range(layers):
        z = relu(linear(z, f"proj2.{1 + 3 * layer}"))
    hidden = relu(linear(relu(linear(z, "head.0")), "head.3"))
    return linear(hidden, "head.6")[:, 0], z


def loss(weights: dict[str, Numbers], features: Numbers, labels: NDArray[np.float64], xi: float) -> complex:
    """Sum of the cross-entropies + xi * SupCon at temperature 0.07."""
    logits, z = forward(weights, features)
    synthetic = 1 / (1 + np.exp(-logits))
    cross_entropy = -(labels * np.log(synthetic) + (1 - labels) * np.log(1 - synthetic)).sum()
    return complex(cross_entropy + xi * contrastive(z, labels))


def contrastive(z: Numbers, labels: NDArray[np.float64]) -> complex:
    """Equation 2 of Khosla et al., anchor by anchor."""
    unit = z / np.sqrt((z * z).sum(axis=1, keepdims=True))
    total: complex = 0
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        positives = [j for j in others if labels[j] == labels[i]]
        denominator = sum(np.exp(unit[i] @ unit[j] / 0.07) for j in others)
        if positives:
            total -= sum(unit[i] @ unit[j] / 0.07 - np.log(denominator) for j in positives) / len(positives)
    return total / len(z)


def _doubled(recipe: Recipe) -> HeadStack:
    """A stack of one head in float64; weights and biases are far from zero so that no ReLU is always dead."""
    stack = HeadStack([recipe], DIMS, CPU)
    generator = torch.Generator().manual_seed(3)
    stack.parameters = {
        name: (torch.randn(p.shape, generator=generator, dtype=torch.float64) * 0.7 + 0.2).requires_grad_()
        for name, p in stack.parameters.items()
    }
    stack.xi = torch.tensor(
        [recipe.contrastive_weight], dtype=torch.float64
    )  # the exact value, not its float32
    return stack


@pytest.mark.parametrize("recipe", [
    pytest.param(Recipe(xi=0.2, num_proj_layers=2, proj_dim=4), id="whole"),
    pytest.param(Recipe(xi=0.8, num_proj_layers=1, proj_dim=3), id="one layer"),
    pytest.param(
        Recipe(xi=0.2, num_proj_layers=2, proj_dim=4, ablate="contrastive"), id="without contrastive"
    ),
])  # fmt: skip
def test_loss_and_gradients_equal_the_equations(recipe: Recipe) -> None:
    stack = _doubled(recipe)
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(6, 3, 5)), np.array([1.0, 0, 0, 1, 1, 0])
    stack.skeleton.eval()
    losses, _ = stack._losses(torch.from_numpy(features), torch.from_numpy(labels))
    losses.sum().backward()  # type: ignore[no-untyped-call]

    weights = {
        name.removeprefix("head."): p.detach().numpy()[0].astype(np.complex128)
        for name, p in stack.parameters.items()
    }
    expected = loss(weights, features.astype(np.complex128), labels, recipe.contrastive_weight)
    assert losses.item() == pytest.approx(expected.real, rel=1e-12)
    step, largest = 1e-30, 0.0
    for name, parameter in stack.parameters.items():
        weight = weights[name.removeprefix("head.")]
        gradient = np.zeros(weight.shape)
        for index in np.ndindex(weight.shape):
            weight[index] += 1j * step
            moved = loss(weights, features.astype(np.complex128), labels, recipe.contrastive_weight)
            gradient[index] = moved.imag / step
            weight[index] = weight[index].real
        assert parameter.grad is not None
        assert np.abs(parameter.grad.numpy()[0] - gradient).max() <= 1e-6 * max(
            np.abs(gradient).max(), 1e-9
        ), name
        largest = max(largest, float(np.abs(gradient).max()))
    assert largest > 0.1, "gradients must be far from zero for the comparison to mean anything"


def test_the_first_step_is_that_of_adam() -> None:
    """Up to epsilon, Adam's first step is the learning rate times the sign of the gradient."""
    recipe = Recipe(xi=0.2, num_proj_layers=1, proj_dim=3)
    stack = HeadStack([recipe], DIMS, CPU)
    for module in stack.skeleton.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    before = {name: p.detach().clone() for name, p in stack.parameters.items()}
    stack.step(
        torch.randn(6, 3, 5, generator=torch.Generator().manual_seed(0)),
        torch.tensor([1.0, 0, 1, 0, 1, 0]),
        1e-3,
    )
    for name, parameter in stack.parameters.items():
        assert parameter.grad is not None
        expected = before[name] - 1e-3 * parameter.grad / (parameter.grad.abs() + 1e-8)
        assert torch.allclose(parameter, expected, atol=1e-7), name


@pytest.mark.parametrize(
    "labels",
    [pytest.param([1.0, 0, 0, 0], id="an anchor without positives"), pytest.param([1.0], id="one image")],
)
def test_anchors_without_positives_contribute_nothing(labels: list[float]) -> None:
    z = torch.randn(len(labels), 4, dtype=torch.float64, requires_grad=True)
    value = supervised_contrastive(z, torch.tensor(labels, dtype=torch.float64))
    expected = (
        contrastive(z.detach().numpy().astype(np.complex128), np.array(labels)) if len(labels) > 1 else 0
    )
    assert value.item() == pytest.approx(np.real(expected))
    value.backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_a_zero_embedding_has_finite_gradients() -> None:
    """ReLU and dropout can make z zero."""
    z = torch.zeros(4, 3, requires_grad=True)
    supervised_contrastive(z, torch.tensor([1.0, 0, 1, 0])).backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_a_head_of_the_published_2_class_shape() -> None:
    """The published number of parameters, and outputs on seeded features; weights are random.

    tests/models/families/test_rine.py checks the official head itself, where SIDSCAN_RINE_2CLASS names it.
    """
    head = build_head(PRESETS["progan-2class"].recipe, EncoderDims(24, 1024, 768)).eval()
    assert sum(parameter.numel() for parameter in head.parameters()) == 283_009
    features = np.random.default_rng(1).normal(size=(4, 24, 1024)) * 3
    with torch.inference_mode():
        logits = head.double()(torch.from_numpy(features)).numpy()
    weights = {name: p.numpy().astype(np.complex128) for name, p in head.state_dict().items()}
    assert np.abs(logits - forward(weights, features.astype(np.complex128))[0]).max() < 1e-10


def test_initial_weights_are_determined_by_the_seed() -> None:
    recipe = Recipe(num_proj_layers=1, proj_dim=3)
    first, same, other = (build_head(replace(recipe, seed=seed), DIMS).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["alpha"], other["alpha"])
