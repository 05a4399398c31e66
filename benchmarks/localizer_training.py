"""Localizers trained from the command line on a generated set like Dolos: do they learn?

    python benchmarks/localizer_training.py FOLDER --encoder clip-vit-b16-q8 --out FILE

The encoder must be installed. FOLDER gets the data set, the encoder's features and the checkpoints. Images
are noise with the spectrum of photographs; in the synthetic region it was made at half size and enlarged:
smoothly in the set `ldm`, by doubling pixels in the set `lama`. It ends with an error where a promise is
broken.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from record import publish, stamp

SIDE = 256  # pixels, as Dolos has them
SETS = {"ldm": Image.Resampling.BICUBIC, "lama": Image.Resampling.NEAREST}
COUNTS = {"train": 64, "valid": 16, "test": 16}  # images of each set and part
RECIPES = {"linear": ("--lr", "0.01"), "conv-4": ()}
COMMON = ("--batch-size", "8", "--quiet")
EPOCHS = (1, 6)
_EPOCH = re.compile(r"epoch (\d+): loss ([\d.]+), validation IoU ([\d.]+)")


def main() -> None:
    """Make the set, train, measure, resume, and publish what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", default="clip-vit-b16-q8")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    data = asked.folder / "celebahq"
    if not data.exists():
        make_set(data)
    trial = Trial(asked.folder, data, asked.encoder)
    runs = [trial.train(decoder, epochs) for decoder in RECIPES for epochs in EPOCHS]
    tables = trial.evaluate([f"{run['decoder']}-{run['epochs']}.safetensors" for run in runs])
    for run in runs:
        run["test"] = tables[f"{run['decoder']}-{run['epochs']}.safetensors"]
    result = stamp("localizer_training", "torch")
    result |= {
        "encoder": asked.encoder,
        "images": {"of each set": COUNTS, "side": SIDE, "real": COUNTS},
        "runs": runs,
        "resume": trial.resume("linear", EPOCHS[-1]),
        "same_seed": trial.repeat("conv-4", EPOCHS[0]),
        "localize": trial.localize(f"linear-{EPOCHS[-1]}.safetensors"),
    }
    publish(result, asked.out)
    sys.exit(1 if broken(result) else 0)


class Trial:
    """Commands on one data set, in one folder."""

    def __init__(self, folder: Path, data: Path, encoder: str) -> None:
        self.folder, self.data, self.encoder = folder, data, encoder

    def command(self, decoder: str, epochs: int, out: str, seed: int = 0) -> list[str]:
        """`sidscan train-localizer` on the set ldm."""
        return [
            *(*SIDSCAN, "train-localizer", str(self.data), "--sets", "ldm", "--encoder", self.encoder),
            *("--cache", str(self.folder / "features"), "--decoder", decoder, "--epochs", str(epochs)),
            *(*RECIPES[decoder], *COMMON, "--seed", str(seed), "--out", str(self.folder / out)),
        ]

    def train(self, decoder: str, epochs: int) -> dict[str, Any]:
        """Train, unless an earlier trial did; the epochs as the checkpoint states them."""
        name = f"{decoder}-{epochs}.safetensors"
        command = self.command(decoder, epochs, name)
        if not (self.folder / name).exists():
            subprocess.run(command, check=True)
        return {
            "command": shown(command, self.folder),
            "decoder": decoder,
            "epochs": epochs,
            "validation": [
                {key: round(epoch[key], 4) for key in ("loss", "validation")}
                for epoch in facts_of(self.folder / name)["epochs"]
            ],
        }

    def evaluate(self, names: list[str]) -> dict[str, Any]:
        """Figures on the test parts of both sets, by checkpoint."""
        out = self.folder / "results"
        models = [option for name in names for option in ("--model", str(self.folder / name))]
        command = [*SIDSCAN, "evaluate", "localization", str(self.data), *models, "--out", str(out)]
        subprocess.run([*command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        kept = ("protocol", "iou", "constant_iou", "ap", "f1_fixed", "auroc_area")
        tables: dict[str, Any] = {name: {} for name in names}
        for row in json.loads((out / "results.json").read_text(encoding="utf-8")):
            figures = {key: row[key] for key in kept}
            tables[row["model"]][row["set"]] = {
                key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()
            }
        return tables

    def resume(self, decoder: str, epochs: int) -> dict[str, Any]:
        """Kill a run with SIGKILL after its third epoch, and run the command again."""
        out = self.folder / "killed.safetensors"
        out.unlink(missing_ok=True)
        command = [part for part in self.command(decoder, epochs, out.name) if part != "--quiet"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        for line in process.stderr:
            if (found := _EPOCH.match(line)) and int(found[1]) == 3:
                process.send_signal(signal.SIGKILL)
                break
        process.stderr.close()
        code = process.wait()
        again = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)
        whole = (self.folder / f"{decoder}-{epochs}.safetensors").read_bytes()
        return {
            "killed_with": code,
            "said": next(line for line in again.stderr.splitlines() if line.startswith("going on")),
            "same_bytes": out.read_bytes() == whole,
        }

    def repeat(self, decoder: str, epochs: int) -> dict[str, bool]:
        """The same command again, and with another seed."""
        first = (self.folder / f"{decoder}-{epochs}.safetensors").read_bytes()
        same, other = self.folder / "again.safetensors", self.folder / "other.safetensors"
        for path, seed in ((same, 0), (other, 1)):
            path.unlink(missing_ok=True)
            subprocess.run(self.command(decoder, epochs, path.name, seed), check=True)
        return {"same_bytes": same.read_bytes() == first, "another_seed": other.read_bytes() == first}

    def localize(self, name: str) -> dict[str, Any]:
        """IoU of the masks that `sidscan localize` draws of the test images of the set ldm."""
        maps, report = self.folder / "maps", self.folder / "regions.json"
        images = self.data / "fake" / "ldm" / "images" / "test"
        command = [*SIDSCAN, "localize", str(images), "--model", str(self.folder / name), "--fresh"]
        subprocess.run(
            [*command, "--detector", "mini", "--out-dir", str(maps), "--out", str(report), "--overwrite"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        rows = json.loads(report.read_text(encoding="utf-8"))["findings"]
        return {"images": len(rows), "mean_iou": round(float(np.mean([self._iou(r, maps) for r in rows])), 1)}

    def _iou(self, row: dict[str, Any], maps: Path) -> float:
        sha256 = row["facts"]["sha256"]
        drawn = np.asarray(Image.open(maps / f"{sha256}.mask.png").convert("L")) > 127
        mask = self.data / "fake" / "ldm" / "masks" / "test" / Path(row["path"]).name
        region = np.asarray(Image.open(mask)) < 128
        return float(100 * (drawn & region).sum() / (drawn | region).sum())


def broken(result: dict[str, Any]) -> list[str]:
    """Promises that were not kept; printed."""
    one, six = ({run["decoder"]: run for run in result["runs"] if run["epochs"] == n} for n in EPOCHS)
    promises = {
        f"{name}: IoU rises from one epoch to six": one[name]["test"]["ldm"]["iou"]
        < six[name]["test"]["ldm"]["iou"]
        for name in RECIPES
    }
    promises |= {
        f"{name}: IoU is twice that of a constant map": six[name]["test"]["ldm"]["iou"]
        > 2 * six[name]["test"]["ldm"]["constant_iou"]
        for name in RECIPES
    }
    promises["a killed run ends with the same bytes"] = result["resume"]["same_bytes"]
    promises["the same seed gives the same bytes"] = result["same_seed"]["same_bytes"]
    promises["another seed gives others"] = not result["same_seed"]["another_seed"]
    for promise, kept in promises.items():
        print(f"{'held' if kept else 'BROKEN'}: {promise}", file=sys.stderr)
    return [promise for promise, kept in promises.items() if not kept]


def make_set(data: Path) -> None:
    """Images and masks of all sets and parts, and real images."""
    rng = np.random.default_rng(0)
    for part, count in COUNTS.items():
        for name, method in SETS.items():
            for number in range(count):
                pixels, region = composite(rng, method)
                save(pixels, data / "fake" / name / "images" / part / f"{number:03d}-0.png")
                mask = np.where(region, 0, 255).astype(np.uint8)  # as Dolos has it: black is synthetic
                save(mask, data / "fake" / name / "masks" / part / f"{number:03d}-0.png")
        for number in range(count):
            save(noise(rng, SIDE), data / "real" / part / f"{number:03d}.png")


def composite(
    rng: np.random.Generator, method: Image.Resampling
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An image (SIDE, SIDE, 3) and its synthetic region: an ellipse of a tenth to a third of it."""
    width, height = rng.uniform(0.4, 0.7, 2) * SIDE
    left, top = rng.uniform(0, SIDE - width), rng.uniform(0, SIDE - height)
    drawn = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(drawn).ellipse((left, top, left + width, top + height), fill=255)
    region = np.asarray(drawn) > 0
    enlarged = np.asarray(Image.fromarray(noise(rng, SIDE // 2)).resize((SIDE, SIDE), method))
    return np.where(region[:, :, None], enlarged, noise(rng, SIDE)), region


def noise(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Noise (side, side, 3) whose amplitude falls as one over the frequency; its channels are alike."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    fall = 1 / np.maximum(frequency, 1 / side)
    shared, own = rng.normal(size=(1, side, side)), rng.normal(size=(3, side, side))
    planes = np.fft.irfft2(np.fft.rfft2(shared + 0.4 * own) * fall, (side, side))
    planes /= planes.std(axis=(1, 2), keepdims=True)
    pixels: NDArray[np.uint8] = (planes * 45 + 128).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels


def save(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def facts_of(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint states of its training."""
    from sidscan.models.localizer_checkpoints import read_localizer_checkpoint

    return dict(read_localizer_checkpoint(checkpoint)[0].facts)


def shown(command: list[str], folder: Path) -> str:
    """A command as a reader types it, in the folder."""
    text = " ".join(["sidscan", *command[len(SIDSCAN) :]])
    return text.replace(f"{folder}/", "")


SIDSCAN = (sys.executable, "-P", "-m", "sidscan")


if __name__ == "__main__":
    main()
