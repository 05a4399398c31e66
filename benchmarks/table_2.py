"""Every kind of detector through the whole harness: import, scores, and the layout of the paper's Table 2.

    python benchmarks/table_2.py FOLDER [--images 2] [--out benchmarks/results/table_2.json]

Weights are random, in the layouts that their authors publish (CLIP encoders and LGrad's discriminator are
small), so the figures mean nothing: what is shown is that each detector is imported, reads what its authors
show it, and gets its row beside the published one. FOLDER gets the weights, CNNDetection's 20 test sets with
generated images, and the tables, results/results.md among them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from click.testing import CliRunner
from PIL import Image
from record import publish, stamp

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from sample_published import (
    as_open_clip_trains,
    c2p_state,
    clip_based_state,
    discriminator_state,
    npr_state,
    patch_forensics_state,
    resnet50_state,
)
from tiny_networks import random_clip, random_head

from sidscan.cli import cli
from sidscan.models.catalog import CATALOG
from sidscan.models.digests import hash_file
from sidscan.models.origins import Pin, Published
from sidscan.models.shapes import (
    DiscriminatorShape,
    EncoderShape,
    HeadShape,
    ProbedEncoderShape,
    ProbeShape,
    Shape,
)
from sidscan.training.datasets.layouts import find_layout

SETS = find_layout("cnndetection").known_sets
_WITH_CLASSES = ("progan", "stylegan", "stylegan2", "cyclegan")
_SIDE = 96  # pixels of the generated images
_CLIP = {"width": 64, "blocks": 2, "patch": 14, "side": 224, "embedding": 8}
_CLIP_SHAPE = EncoderShape(2, 64, 14, 257, 8)
_SMALL: dict[str, Shape] = {
    "clip-vit-l14": _CLIP_SHAPE,
    "clip-vit-l14-commonpool": _CLIP_SHAPE,
    "rine-4class": HeadShape(2, 64, 16, 2),
    "ufd": ProbeShape(8),
    "c2p-clip": ProbedEncoderShape(_CLIP_SHAPE),
    "clipdet": ProbeShape(64),
    "stylegan-discriminator": DiscriminatorShape(4, 32),
}
"""Shapes of what is smaller here than published."""


def weights() -> dict[str, Any]:
    """What published files hold, by the catalog's name, encoders first; seeded and random."""
    torch.manual_seed(0)
    clip, adapted, trained = (random_clip(**_CLIP, seed=seed) for seed in range(3))
    return {
        "clip-vit-l14": {f"visual.{name}": tensor for name, tensor in clip.items()},
        "clip-vit-l14-commonpool": as_open_clip_trains(trained),
        "stylegan-discriminator": discriminator_state(4, 32),
        "rine-4class": dict(random_head(2, 64, 16, 2).state_dict()),
        "ufd": {"weight": torch.randn(1, 8), "bias": torch.zeros(1)},
        "c2p-clip": c2p_state(adapted),
        "clipdet": {"model": clip_based_state(64)},
        "cnndet-p01": {"model": resnet50_state()},
        "dmid": {"model": resnet50_state(1)},
        "npr": npr_state(),
        "lgrad": resnet50_state(2),
        "patch-forensics": {"state_dict": patch_forensics_state()},
    }


def write_images(folder: Path, images: int) -> None:
    """CNNDetection's 20 test sets; synthetic images are enlarged, so that neighbouring pixels are alike."""
    rng = np.random.default_rng(0)
    for known in SETS:
        is_diffusion = known.family == "diffusion"
        own = folder / ("diffusion_datasets" if is_diffusion else "") / known.key
        own = own / "class" if known.key in _WITH_CLASSES else own
        reals = own.with_name("imagenet" if known.key == "guided" else "laion") if is_diffusion else own
        for label, place in (("0_real", reals), ("1_fake", own)):
            (place / label).mkdir(parents=True, exist_ok=True)
            for number in range(images):
                side = _SIDE // 2 if label == "1_fake" else _SIDE
                noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))
                noise.resize((_SIDE, _SIDE)).save(place / label / f"{number}.png")


def import_all(folder: Path) -> list[str]:
    """Write and import the weights; the names of the detectors. Digests in the catalog become theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = {}
    for name, content in weights().items():
        path = folder / f"{name}.pth"
        torch.save(content, path)
        entry = replace(CATALOG[name], shape=_SMALL.get(name, CATALOG[name].shape))
        if isinstance(entry.origin, Published):
            pin = Pin("sha256", hash_file(path, "sha256")["sha256"])
            entry = replace(entry, origin=replace(entry.origin, pin=pin))
        entries[name] = entry
    patch("sidscan.models.store.CATALOG", entries).start()
    for name in entries:
        run("models", "import", folder / f"{name}.pth", "--as", name, "--accept-licence")
    return [entry.name for entry in entries.values() if entry.kind == "detector"]


def run(*arguments: object) -> str:
    """What a command prints that succeeds."""
    done = CliRunner().invoke(cli, [str(each) for each in arguments])
    if done.exit_code != 0:
        raise RuntimeError(f"{' '.join(map(str, arguments))}\n{done.output}") from done.exception
    return done.stdout


def main() -> None:
    """Make weights and images, import, evaluate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=2, help="of each label in each set")
    parser.add_argument("--out", type=Path)
    choices = parser.parse_args()
    os.environ["SIDSCAN_MODELS"] = str(choices.folder / "models")
    detectors = import_all(choices.folder / "weights")
    write_images(choices.folder / "test", choices.images)
    began = time.process_time()
    table = run(
        *("evaluate", "run", choices.folder / "test", "--out", choices.folder / "results", "--compare"),
        *("--no-plots", "--quiet", "--crops", "center", "--device", "cpu", "--precision", "fp32"),
        *(option for name in detectors for option in ("--model", name)),
    )
    rows = [line for line in table.splitlines() if line.startswith("|")]
    print(*rows, sep="\n")
    found = {
        "detectors": detectors,
        "sets": len(SETS),
        "processor_seconds": round(time.process_time() - began, 1),
        "rows": [
            [cell.strip() for cell in (row.split("|")[1], row.split("|")[-2])]
            for row in rows
            if row.count("|") == rows[0].count("|")
        ],
    }
    publish({**stamp("table_2", "torch"), **found}, choices.out)


if __name__ == "__main__":
    main()
