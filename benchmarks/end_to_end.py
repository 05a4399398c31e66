"""A scan compared with a plain loop as published: ViT-L/14 and a RINE head with random weights, ten-crop.

    python benchmarks/end_to_end.py --images 4 --plain-images 1 --rounds 1
    python benchmarks/end_to_end.py --images 40 --plain-images 8 --folder /tmp/camera

The plain loop: Pillow decodes, torchvision cuts ten crops and normalises them in float32, open_clip's encoder
runs with a hook on every block's ln_2, the head scores; fp32 on a CPU with torch's own threads, fp16 on CUDA;
one image at a time, and in batches of four. The scan is `sidscan scan` with its defaults, but without
reports. Each stage runs in a separate process. Models are loaded before the clock starts; the scan's loading
time is stated. Every round runs all stages in turn. Results are printed, and written with --out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from camera import make
from PIL import Image
from random_rine import SHAPES, make_encoder, make_heads
from record import publish, stamp
from torchvision import transforms

from sidscan import ScanConfig
from sidscan.models import detectors
from sidscan.models.families.clip import CLIP_MEAN, CLIP_STD
from sidscan.pipeline import open_scan

BATCH = 4  # images
Json = dict[str, Any]


def open_clip_encoder(state: dict[str, torch.Tensor]) -> Any:
    """open_clip's own vision transformer with these weights."""
    from open_clip.transformer import QuickGELU, VisionTransformer

    width, _, patch, _ = state["conv1.weight"].shape
    blocks = sum(name.endswith("ln_2.weight") for name in state)
    sizes = (224, patch, width, blocks, width // 64, 4.0)
    visual = VisionTransformer(*sizes, output_dim=state["proj"].shape[1], act_layer=QuickGELU)
    visual.load_state_dict(state, strict=True)
    return visual.eval().requires_grad_(False)


class Published(torch.nn.Module):
    """Encoder with hooks and head, as the published code builds them."""

    def __init__(self, head: Path, encoder: Path, device: str) -> None:
        super().__init__()
        (loaded,) = detectors.load_detectors([str(head)], encoder=encoder)
        ours: Any = loaded.encoder
        visual = open_clip_encoder(ours.visual.state_dict())
        self.head = loaded.head
        self.dtype = torch.float16 if device == "cuda" else torch.float32
        self.visual = visual.to(device, self.dtype)
        self.head.to(device)
        self.tokens: list[torch.Tensor] = []
        for block in visual.transformer.resblocks:
            block.ln_2.register_forward_hook(lambda _, __, output: self.tokens.append(output[:, 0]))

    @torch.inference_mode()
    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Normalised crops (b, 3, 224, 224) -> logits (b,)."""
        self.tokens.clear()
        self.visual(crops.to(self.dtype))
        logits: torch.Tensor = self.head(torch.stack(self.tokens, dim=1).float())
        return logits


def plain(paths: list[Path], model: Published, device: str, batch: int) -> list[float]:
    """Scores; ``batch`` is the number of images at a time."""
    normalised = transforms.Compose(
        [
            transforms.TenCrop(224),
            transforms.Lambda(lambda crops: torch.stack([transforms.ToTensor()(crop) for crop in crops])),
            transforms.Normalize(CLIP_MEAN, CLIP_STD),
        ]
    )
    scores: list[float] = []
    for start in range(0, len(paths), batch):
        crops = torch.cat(
            [normalised(Image.open(path).convert("RGB")) for path in paths[start : start + batch]]
        )
        logits = model(crops.to(device)).reshape(-1, 10).mean(dim=1)
        scores += torch.sigmoid(logits).tolist()
    return scores


def run_plain(batch: int, paths: list[Path], head: Path, encoder: Path, device: str) -> Json:
    """Seconds and scores of the plain loop; ``batch`` is the number of images at a time."""
    model = Published(head, encoder, device).eval()
    start = time.perf_counter()
    scores = plain(paths, model, device, batch)
    return {"seconds": time.perf_counter() - start, "scores": scores}


def run_scan(paths: list[Path], head: Path, encoder: Path, device: str) -> Json:
    """Seconds and scores of a scan, with its journal in a file."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        run = open_scan(
            ScanConfig(
                inputs=tuple(map(str, paths)),
                models=(str(head),),
                encoder=encoder,
                device="cuda" if device == "cuda" else "cpu",
                journal=Path(scratch) / "run.journal",
            )
        )
        opened = time.perf_counter()
        scores = [result.scores[0].score for result in run]
        done = time.perf_counter()
    return {
        "seconds": done - opened,
        "scores": scores,
        "seconds_to_open": opened - start,
        "precision": run.runtime.info.precision,
    }


STAGES: dict[str, Callable[[list[Path], Path, Path, str], Json]] = {
    "sidscan scan": run_scan,
    "plain, one at a time": partial(run_plain, 1),
    f"plain, {BATCH} at a time": partial(run_plain, BATCH),
}


def apart(stage: str, paths: list[Path], head: Path, encoder: Path, device: str) -> Json:
    """Run a stage in a separate process, because a scan sets torch's threads for its whole process."""
    task = json.dumps([stage, [str(path) for path in paths], str(head), str(encoder), device])
    done = subprocess.run(
        [sys.executable, __file__, "--stage", task], check=True, stdout=subprocess.PIPE, text=True
    )
    result: Json = json.loads(done.stdout.splitlines()[-1])
    return result


def stage_main(task: str) -> None:
    """Run a stage; `apart` starts this."""
    stage, paths, head, encoder, device = json.loads(task)
    print(json.dumps(STAGES[stage]([Path(path) for path in paths], Path(head), Path(encoder), device)))


def measure(paths: list[Path], few: int, rounds: int, device: str, shape: str = "vit-l14") -> Json:
    """Rates of every stage, ratios within the rounds, and the largest difference of scores."""
    rates: dict[str, list[float]] = {name: [] for name in STAGES}
    opened, difference = [], 0.0
    with tempfile.TemporaryDirectory() as scratch:
        encoder = Path(scratch) / f"{shape}.safetensors"
        make_encoder(encoder, SHAPES[shape])
        head = make_heads(Path(scratch), encoder, SHAPES[shape])[0]
        for _ in range(rounds):
            outcomes = {}
            for name in STAGES:
                chosen = paths if name == "sidscan scan" else paths[:few]
                outcomes[name] = apart(name, chosen, head, encoder, device)
                rates[name].append(len(chosen) / outcomes[name]["seconds"])
            scan = outcomes["sidscan scan"]
            opened.append(scan["seconds_to_open"])
            for name in list(STAGES)[1:]:
                pairs = zip(outcomes[name]["scores"], scan["scores"], strict=False)
                difference = max(
                    difference, *(abs(plain_score - scan_score) for plain_score, scan_score in pairs)
                )
    return {
        "precision_of_the_scan": scan["precision"],
        "pictures_per_second": {name: _spread(values) for name, values in rates.items()},
        "scan_by_plain": {
            name: _spread([a / b for a, b in zip(rates["sidscan scan"], rates[name], strict=True)])
            for name in list(STAGES)[1:]
        },
        "seconds_to_open_the_scan": _spread(opened),
        "largest_score_difference": float(f"{difference:.2g}"),
    }


def _spread(values: list[float]) -> list[float]:
    """Lowest, median, highest."""
    return [float(f"{value:.3g}") for value in (min(values), statistics.median(values), max(values))]


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument(
        "--plain-images", type=int, help="the plain loop's, a multiple of four [default: all]"
    )
    parser.add_argument("--size", default="4000x3000", help="pixels; default: 12 megapixels")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--folder", type=Path, help="keeps the images for another time")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        stage_main(options.stage)
        return
    few = min(options.plain_images or options.images, options.images)
    with tempfile.TemporaryDirectory() as scratch:
        paths = make(options.folder or Path(scratch), options.images, options.size)
        figures = measure(paths, few, options.rounds, options.device)
    result = stamp("end_to_end", "torch", "torchvision", "open_clip", "PIL") | {
        "model": "ViT-L/14 and a RINE head, random weights, ten-crop",
        "device": options.device,
        "pictures": {"count": options.images, "of the plain loop": few, "size": options.size},
        "rounds": options.rounds,
        "figures": "lowest, median, highest over the rounds",
        **figures,
    }
    publish(result, options.out)


if __name__ == "__main__":
    main()
