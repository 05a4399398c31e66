"""The presets of the paper's appendix, each from training to an exported graph, by the real commands.

    python benchmarks/appendix_presets.py FOLDER [--batch 128] [--out FILE]

One epoch on a generated set in ProGAN's layout (20 classes, one image per class and label), then `evaluate`,
`scan`, `export-onnx`, a scan with the graph, and a scan without the encoder, which must be refused. ViT-B/16
and ResNet-50 have their published sizes, CLIP is a small one, and all weights are random: the figures show
that the path works and say nothing about detection.

It also measures what one training step of the pyramid on CLIP ViT-L/14 adds to the memory, for BATCH crops:
with the maps of all crops at once, and in parts, as `sidscan train` does it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from click.testing import CliRunner
from record import publish, stamp
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from sample_published import as_training_saves, random_like, resnet50_state
from training_sets import progan_like, small_clip

from sidscan.cli import cli
from sidscan.errors import SidscanError
from sidscan.models import checkpoints
from sidscan.models.backbones import MAPS_AT_ONCE
from sidscan.training.rine import fit
from sidscan.training.rine.examples import CLASS_SETS
from sidscan.training.rine.recipe import PRESETS

APPENDIX = ("progan-20class", "ufd-4class", "fpn-4class", "vit-4class", "wang-4class", "rn50-fpn-4class")
_SMALL = {"rine": ("--proj-dim", "64"), "fpn": ("--proj-dim", "64"), "linear": ()}
_WHOLE = 1 << 30  # crops: as many as there are


def encoders(folder: Path) -> dict[str, tuple[str, ...]]:
    """Random weights: by the preset's encoder, the options of `train` that name them."""
    import timm

    folder.mkdir(parents=True, exist_ok=True)
    clip, vit = small_clip(folder / "clip.safetensors"), folder / "vit.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model("vit_base_patch16_224", pretrained=False).state_dict(), vit)
    with torch.device("meta"):
        shapes = {**resnet50_state(), "fc.weight": torch.empty(1000, 2048), "fc.bias": torch.empty(1000)}
    torch.save(random_like(shapes), imagenet := folder / "resnet50.pth")
    wang = as_training_saves(folder / "wang.pth", resnet50_state(1))
    run("models", "import", wang, "--as", "cnndet-p01", "--accept-licence")
    return {
        "clip-vit-l14": ("--encoder", str(clip)),
        "timm:vit_base_patch16_224": ("--encoder-weights", str(vit)),
        "torchvision:resnet50": ("--encoder-weights", str(imagenet)),
        "cnndet-p01": (),
    }


def run(*arguments: object) -> str:
    """What a command prints, to both streams, that succeeds."""
    done = CliRunner().invoke(cli, [str(each) for each in arguments])
    if done.exit_code != 0:
        raise RuntimeError(f"{' '.join(map(str, arguments))}\n{done.output}") from done.exception
    return done.output


def refusal(*arguments: object) -> str:
    """Why a command refuses to begin."""
    done = CliRunner().invoke(cli, [str(each) for each in arguments])
    if not isinstance(done.exception, SidscanError):
        raise RuntimeError(f"{' '.join(map(str, arguments))} was not refused") from done.exception
    return done.exception.message


def one_preset(name: str, data: Path, weights: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Train, evaluate, scan, export, scan again."""
    head, images, crops = folder / f"{name}.safetensors", data / "val", ("--crops", "center")
    chosen, began = PRESETS[name], time.process_time()
    run("train", data, "--preset", name, "--out", head, *weights, *_SMALL[chosen.recipe.head])
    trained = time.process_time() - began
    encoder = ("--encoder", weights[1]) if weights else ()
    model = ("--model", head, *encoder, "--device", "cpu", "--precision", "fp32")
    pair = ("--real", images / "horse" / "0_real", "--synthetic", images / "horse" / "1_fake", "--no-plots")
    run("evaluate", "run", *pair, *model, "--out", folder / f"{name}-results", "--bootstrap", "10")
    run("scan", images, *model, *crops, "--out", folder / f"{name}.csv")
    exported = run("export-onnx", "--model", head, *encoder, "--out", graph := folder / f"{name}.onnx")
    run("scan", images, "--model", graph, *crops, "--out", folder / f"{name}-graph.csv")
    refused = refusal("scan", images, "--model", head, "--out", folder / "no.csv") if weights else ""
    checkpoint, _ = checkpoints.read_checkpoint(head)
    with (folder / f"{name}-results" / "results.csv").open(encoding="utf-8", newline="") as file:
        measured = next(csv.DictReader(file))
    by_torch, by_graph = scores(folder / f"{name}.csv"), scores(folder / f"{name}-graph.csv")
    pairs = zip(by_torch, by_graph, strict=True)
    return {
        "preset": name,
        "head": checkpoint.head,
        "encoder": checkpoint.encoder,
        "depths": checkpoint.facts["backbone"]["depths"],
        "images": checkpoint.facts["data"]["real"] + checkpoint.facts["data"]["synthetic"],
        "epoch": {key: round(checkpoint.facts["epochs"][0][key], 4) for key in ("loss", "accuracy")},
        "evaluated": {key: float(measured[key]) for key in ("acc", "ap")},
        "scored": len(by_torch),
        "logits_of_the_graph_differ_by": float(exported.rpartition(f"{head.name} ")[2].partition(";")[0]),
        "scores_by_graph_differ_by": max(abs(one - other) for one, other in pairs),
        "without_encoder": re.sub("[0-9a-f]{64}", "...", refused) or "not tried: it is installed",
        "processor_seconds_of_training": round(trained, 1),
    }


def scores(report: Path) -> list[float]:
    """Of all images of a report, in its order."""
    with report.open(encoding="utf-8", newline="") as file:
        return [float(row["score"]) for row in csv.DictReader(file)]


def pyramid_step(at_once: int, batch: int) -> dict[str, float]:
    """What one step on maps of CLIP ViT-L/14's shape adds to this process's peak memory, in MiB.

    Args:
        at_once: crops whose graph is in memory together.
    """
    stack = fit.HeadStack([PRESETS["fpn-4class"].recipe], fit.EncoderDims(24, 1024, 768), torch.device("cpu"))
    maps, labels = torch.empty(batch, 24, 1024, 16, 16).uniform_(-1, 1), (torch.arange(batch) % 2).float()
    before, began = peak_mib(), time.process_time()
    with patch.object(fit, "MAPS_AT_ONCE", at_once):
        stack.step(maps, labels, 1e-3)
    seconds = round(time.process_time() - began, 1)
    return {"mib": peak_mib() - before, "maps_mib": maps.nbytes >> 20, "processor_seconds": seconds}


def peak_mib() -> int:
    """The most memory that this process has held, in MiB; getrusage would count its parent's, too."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


def measured_apart(at_once: int, batch: int) -> dict[str, float]:
    """`pyramid_step` in a process of its own."""
    command = [sys.executable, __file__, "--step", str(at_once), "--batch", str(batch), "."]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Every preset, then the two steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, default=128, help="crops of the step that is measured")
    parser.add_argument("--step", type=int, help="measure one step of so many crops at once, and no more")
    parser.add_argument("--out", type=Path)
    choices = parser.parse_args()
    if choices.step:
        print(json.dumps(pyramid_step(choices.step, choices.batch)))
        return
    os.environ["SIDSCAN_MODELS"] = str(choices.folder / "models")
    weights = encoders(choices.folder / "weights")
    data = progan_like(choices.folder / "progan", CLASS_SETS["20"], count=1)
    progan_like(data, CLASS_SETS["4"], count=1, part="val", seed=1)
    found = {
        "presets": [
            one_preset(name, data, weights[PRESETS[name].encoder], choices.folder) for name in APPENDIX
        ],
        "pyramid_step": {
            "crops": choices.batch,
            "at_once": measured_apart(_WHOLE, choices.batch),
            "in_parts": measured_apart(MAPS_AT_ONCE, choices.batch),
        },
    }
    publish({**stamp("appendix_presets", "torch", "timm", "torchvision"), **found}, choices.out)


if __name__ == "__main__":
    main()
