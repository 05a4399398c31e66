"""RINE's training objective (paper, section 3): binary cross-entropy plus a weighted contrastive loss.

The code has no branches on values, so that `torch.func.vmap` can compute it for many heads at once.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.07
BASE_TEMPERATURE = 0.07


def rine_loss(
    logits: Tensor,
    embedding: Tensor,
    labels: Tensor,
    xi: Tensor,
    temperature: float = TEMPERATURE,
    base_temperature: float = BASE_TEMPERATURE,
) -> Tensor:
    """L = L_CE + xi * L_Cont.

    The cross-entropy is the sum over the batch, as in the published code (a mean would make xi weigh
    batch-size times more).

    Args:
        logits: (b,).
        embedding: z, (b, d').
        labels: (b,), 1.0 for synthetic.
        xi: scalar.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    return cross_entropy + xi * supervised_contrastive(embedding, labels, temperature, base_temperature)


def supervised_contrastive(
    embedding: Tensor,
    labels: Tensor,
    temperature: float = TEMPERATURE,
    base_temperature: float = BASE_TEMPERATURE,
) -> Tensor:
    """L_Cont of Khosla et al., NeurIPS 2020, equation 2 (L_out), on L2-normalised z: a scalar.

    Mean over an anchor's positives (same label, not itself), then mean over anchors; an anchor without
    positives contributes 0.
    """
    z = functional.normalize(embedding, dim=1)
    similarity = z @ z.T / temperature
    others = 1 - torch.eye(len(z), dtype=z.dtype, device=z.device)
    positives = (labels[:, None] == labels[None]).to(z.dtype) * others
    # exp() of differences to the row's maximum can't overflow; the maximum cancels out.
    similarity = similarity - similarity.amax(dim=1, keepdim=True).detach()
    total = (similarity.exp() * others).sum(dim=1, keepdim=True)
    log_probability = similarity - total.clamp_min(torch.finfo(z.dtype).tiny).log()
    mean = (positives * log_probability).sum(dim=1) / positives.sum(dim=1).clamp_min(1)
    return -(temperature / base_temperature) * mean.mean()
