"""Export, then scan: are a graph's report rows those of PyTorch? One model, both precisions, one folder.

    python benchmarks/parity.py FOLDER --model mini --images 200
    python benchmarks/parity.py FOLDER --model rine-b16 --images 200
    python benchmarks/parity.py FOLDER --model rine --images 40

``rine-b16`` must be installed. ``rine`` is ViT-L/14 with random weights and all four heads in one file.
Images are taken evenly from the sorted ones below FOLDER. All scans use the command with centre crops on the
CPU, PyTorch's in fp32. The result states file sizes, the largest difference of logits and their standard
deviation over the images, the number of changed words of evidence, and the columns in which any row differs,
except numbers that follow from logits.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from random_rine import SHAPES, make_encoder, make_heads
from record import publish, stamp

from sidscan.exporters.onnx import export

SUFFIXES = {".avif", ".gif", ".heic", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
FROM_LOGITS = ("score", "logit", "crop_min", "crop_max", "crop_std")
PRECISIONS: tuple[Literal["fp32", "fp16"], ...] = ("fp32", "fp16")
Rows = list[dict[str, str]]


def choose(folder: Path, count: int) -> list[Path]:
    """``count`` images, taken evenly from all below a folder; all of them if there are fewer."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [paths[index * len(paths) // count] for index in range(count)] if count < len(paths) else paths


def scan(listed: Path, out: Path, *arguments: str) -> Rows:
    """The rows of a report."""
    command = ["scan", "--list", str(listed), *arguments, "--crops", "center", "--device", "cpu"]
    code = subprocess.run([sys.executable, "-m", "sidscan", *command, "--out", str(out), "-q"]).returncode
    if code not in (0, 3):  # 3: some could not be read, but have a row
        raise SystemExit(code)
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def compare(expected: Rows, actual: Rows) -> dict[str, Any]:
    """Differences between the rows of a graph and those of PyTorch."""
    pairs = list(zip(expected, actual, strict=True))
    columns = expected[0].keys()
    numbers = [name for name in columns if name.rpartition(".")[2] in FROM_LOGITS]
    logits = [name for name in numbers if name.rpartition(".")[2] == "logit"]
    both = {name: [(float(e[name]), float(f[name])) for e, f in pairs if e[name]] for name in logits}
    evidence = [name for name in columns if name.rpartition(".")[2] == "evidence"]
    return {
        "largest_logit_difference": {
            name: float(f"{max(abs(e - f) for e, f in values):.2g}") for name, values in both.items()
        },
        "logit_spread": {
            name: float(f"{statistics.stdev(e for e, _ in values):.2g}") for name, values in both.items()
        },
        "evidence_words_changed": sum(e[name] != f[name] for e, f in pairs for name in evidence),
        "columns_that_differ": [
            name for name in columns if name not in numbers and any(e[name] != f[name] for e, f in pairs)
        ],
    }


def measure(model: str, images: list[Path], scratch: Path) -> dict[str, Any]:
    """Compare the graphs of both precisions with PyTorch."""
    encoder, models = None, [model]
    if model == "rine":
        encoder = scratch / "vit-l14.safetensors"
        make_encoder(encoder, SHAPES["vit-l14"])
        models = [str(path) for path in make_heads(scratch, encoder, SHAPES["vit-l14"])]
    listed = scratch / "list.txt"
    listed.write_text("".join(f"{path}\n" for path in images), encoding="utf-8")
    named = [part for name in models for part in ("--model", name)]
    named += ["--encoder", str(encoder)] if encoder else []
    expected = scan(listed, scratch / "pytorch.csv", *named, "--precision", "fp32")
    result: dict[str, Any] = {"scored": sum(row["status"] == "scored" for row in expected)}
    for precision in PRECISIONS:
        graph = export(models, scratch / f"{precision}.onnx", precision, encoder)
        actual = scan(listed, scratch / f"{precision}.csv", "--model", str(graph))
        result[precision] = {"bytes": graph.stat().st_size, **compare(expected, actual)}
        graph.unlink()
    return result


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", choices=["mini", "rine-b16", "rine"], default="mini")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    images = choose(options.folder, options.images)
    with tempfile.TemporaryDirectory() as scratch:
        figures = measure(options.model, images, Path(scratch))
    result = stamp("parity", "torch", "onnxruntime", "onnx")
    publish(result | {"model": options.model, "pictures": len(images), **figures}, options.out)


if __name__ == "__main__":
    main()
