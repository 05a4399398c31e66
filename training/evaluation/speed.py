"""How fast each detector is alone, and what memory it needs: measured in a process of its own.

Several detectors in one run share reading, encoders and memory, so its time says nothing of one of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import pandas as pd

from sidscan.isolation.processes import describe_exit, python_command
from sidscan.training.common.files import write_text
from sidscan.training.datasets.rows import LabelledImage
from sidscan.util.threads import available_cores

from .config import EvaluationConfig
from .results import ModelMetrics
from .run import Evaluation, open_evaluation
from .scores import ScoreFile
from .tables import format_percent, markdown_row
from .testsets import TestSet, TestSetCollection

FILE = "speed.csv"
DEFAULT_IMAGES = 32
_WARM_UP = 2  # images before the clock starts: the first pass of a network is slow
_MIB = 1 << 20


@dataclass(frozen=True)
class Speed:
    """One detector on one machine.

    Attributes:
        images: that were scored; reading and decoding are part of the time.
        cpu_seconds: of all threads, per image.
        peak_mib: resident memory of the whole process, Python and libraries included; 0 where the system
            does not say.
        gpu_mib: memory of the accelerator that torch had in use, at most; 0 on a CPU.
        parameters: of encoder and head.
        weights_mib: what they take in memory, in the precision that was used.
    """

    model: str
    images: int
    images_per_second: float
    cpu_seconds: float
    peak_mib: float
    gpu_mib: float
    parameters: int
    weights_mib: float
    device: str
    precision: str
    runtime: str
    threads: int


class NotMeasured(Exception):
    """The process of a detector ended without an answer; the message says why."""


def sample(test_sets: TestSetCollection, count: int) -> list[LabelledImage]:
    """At most so many images, from all sets evenly, each once."""
    images = list({image.path: image for one in test_sets.sets for image in one.images}.values())
    count = min(count, len(images))
    return [images[number * len(images) // count] for number in range(count)]


def measure_speed(
    model: str, images: Sequence[LabelledImage], config: EvaluationConfig, encoder: Path | None = None
) -> Speed:
    """Measure one detector on these images.

    Args:
        model: name of the catalog, or a checkpoint.
        encoder: weights of the encoder that checkpoints were trained on.

    Raises:
        NotMeasured: its process failed.
    """
    task = {
        "model": model,
        "encoder": str(encoder) if encoder else None,
        "config": asdict(replace(config, skip_unreadable=True)),
        "images": [(str(image.path), image.synthetic) for image in images],
    }
    done = subprocess.run(  # noqa: S603  (no shell; the arguments are ours)
        python_command(__name__), input=json.dumps(task), capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = "".join(f": {line}" for line in done.stderr.splitlines()[-1:])
        raise NotMeasured(f"its process {describe_exit(done.returncode)}{said}")
    return Speed(**json.loads(done.stdout))


def write_speed(path: Path, speeds: Sequence[Speed]) -> None:
    """One row for each detector."""
    names = [field.name for field in fields(Speed)]
    table = pd.DataFrame([asdict(speed) for speed in speeds], columns=names)
    write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def speed_markdown(speeds: Sequence[Speed], models: Sequence[ModelMetrics]) -> str:
    """Time and memory beside accuracy; empty without any."""
    means = {model.model: model.mean.values for model in models}
    speeds = [speed for speed in speeds if speed.model in means]
    if not speeds:
        return ""
    lines = [
        "## Time and memory",
        "",
        markdown_row(
            *("detector", "ACC", "AP", "images/s", "processor s per image", "memory, MiB", "GPU memory, MiB"),
            *("parameters, millions", "weights, MiB"),
        ),
        markdown_row("---", *["---:"] * 8),
    ]
    for speed in speeds:
        accuracy = (format_percent(means[speed.model][name]) for name in ("acc", "ap"))
        memory = (f"{mib:,.0f}" if mib else "-" for mib in (speed.peak_mib, speed.gpu_mib))
        size = (f"{speed.parameters / 1e6:.2f}", f"{speed.weights_mib:,.1f}")
        times = (f"{speed.images_per_second:.3g}", f"{speed.cpu_seconds:.3g}")
        lines.append(markdown_row(speed.model, *accuracy, *times, *memory, *size))
    machines = dict.fromkeys(
        f"{speed.runtime}, {speed.device}, {speed.precision}, {speed.threads} threads, {speed.images} images"
        for speed in speeds
    )
    about = (
        "Each detector alone in a process of its own, reading and decoding included, while nothing else of "
        f"sidscan ran: {'; '.join(machines)}. Memory is that of the whole process at its peak, with Python "
        "and libraries."
    )
    return "\n" + "\n".join([*lines, "", about]) + "\n"


def read_speed(path: Path) -> list[Speed]:
    """What an earlier run measured; empty where it did not, or the file is not one of this version."""
    try:
        rows = pd.read_csv(path, keep_default_na=False)
        return [Speed(**{str(name): cell for name, cell in row.items()}) for row in rows.to_dict("records")]
    except (OSError, ValueError, TypeError):
        return []


def main() -> None:
    """The process: a task as JSON on standard input, the answer on standard output."""
    task = json.load(sys.stdin)
    config = EvaluationConfig(**task["config"])
    images = [LabelledImage(Path(path), path, synthetic) for path, synthetic in task["images"]]
    encoder = Path(task["encoder"]) if task["encoder"] else None
    json.dump(asdict(_measure(task["model"], images, config, encoder)), sys.stdout)


def _measure(
    model: str, images: Sequence[LabelledImage], config: EvaluationConfig, encoder: Path | None
) -> Speed:
    with tempfile.TemporaryDirectory() as folder:
        warm_up = open_evaluation(
            _one_set(images[:_WARM_UP]), [], [model], Path(folder), config, encoder=encoder
        )
        with warm_up.file:
            _run(warm_up)
        evaluation = replace(warm_up, test_sets=_one_set(images), file=ScoreFile(Path(folder) / "timed.csv"))
        with evaluation.file:
            start, cpu_start = time.perf_counter(), time.process_time()
            _run(evaluation)
            wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
            scored = int((evaluation.score_table()["error"] == "").sum())
    if not scored:
        sys.exit(f"none of {len(images)} images can be read")
    info, (detector,) = evaluation.runtime.info, evaluation.detectors
    tensors = {
        id(tensor): tensor for module in (detector.encoder, detector.head) for tensor in module.parameters()
    }.values()
    return Speed(
        model=detector.info.name,
        images=scored,
        images_per_second=scored / wall,
        cpu_seconds=cpu / scored,
        peak_mib=_peak_memory(),
        gpu_mib=_peak_gpu_memory(),
        parameters=sum(tensor.numel() for tensor in tensors),
        weights_mib=sum(tensor.numel() * tensor.element_size() for tensor in tensors) / _MIB,
        device=info.device,
        precision=info.precision,
        runtime=info.runtime,
        threads=available_cores(),
    )


def _one_set(images: Sequence[LabelledImage]) -> TestSetCollection:
    return TestSetCollection("speed", (TestSet("speed", tuple(images)),), ())


def _run(evaluation: Evaluation) -> None:
    for _ in evaluation:
        pass


def _peak_memory() -> float:
    """MiB. Linux keeps the greatest memory of the process that started this one in its ``ru_maxrss``."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    except (OSError, StopIteration):
        pass
    try:
        import resource  # Windows has none
    except ImportError:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB


def _peak_gpu_memory() -> float:
    import torch

    return torch.cuda.max_memory_allocated() / _MIB if torch.cuda.is_available() else 0.0
