"""Test sets -> scores.csv, with the readers, the runtime and the averaging of `sidscan scan`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from sidscan._version import __version__
from sidscan.config import Crops, Device, Precision
from sidscan.errors import OutputError, UsageError
from sidscan.images import crops as views
from sidscan.images import decode
from sidscan.models import detectors
from sidscan.models.catalog import CATALOG
from sidscan.models.detectors import Detector
from sidscan.models.refs import ModelChoice, choose_models
from sidscan.records import DecodedImage, Failure, ImageInfo, Item, ScanResult, Stage
from sidscan.runtimes import Runtime
from sidscan.scoring import scorer
from sidscan.training.common.extras import import_extra
from sidscan.training.common.files import make_folder, write_json
from sidscan.util import threads

from . import perturbations, published, scores
from .scores import Row, ScoreFile, one_line
from .testsets import Example, Found, TestSet

SETTINGS = "evaluation.json"
SCORES = "scores.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """Everything an evaluation depends on besides its test sets and models.

    Attributes:
        crops: the centre crop, as published for the 20 sets, or ten, as published for Synthbuster.
        perturbation: a name in `perturbations.PERTURBATIONS`, or empty.
        seed: of the perturbations.
        device, precision, workers, batch: as for a scan.
        skip_unreadable: keep pictures that can't be read as rows with an error, instead of stopping.
    """

    crops: Crops = "center"
    perturbation: str = ""
    seed: int = 0
    device: Device = "auto"
    precision: Precision = "auto"
    workers: int | None = None
    batch: int | None = None
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        """Refuses what was never defined.

        Raises:
            UsageError: an unknown perturbation, or one together with ten crops.
        """
        if self.perturbation and self.perturbation not in perturbations.PERTURBATIONS:
            known = ", ".join(perturbations.PERTURBATIONS)
            raise UsageError(f"no perturbation is called {self.perturbation}", f"Choose among {known}.")
        if self.perturbation and self.crops == "ten":
            raise UsageError("perturbed pictures have a centre crop only", "Add --crops center.")
        if self.perturbation:
            import_extra("cv2")


class UnreadablePicture(UsageError):
    """A picture of a test set can't be read, and leaving it out was not asked for."""


@dataclass
class Evaluation:
    """An evaluation that is ready: iterate over it for the number of pictures finished each time.

    Rows are durable before their number is yielded; a picture that several sets share is scored once.

    Attributes:
        choice: how the models were chosen, in words.
        runs: checkpoints by name -> the published run with their configuration.
        classes: checkpoints by name -> what they were trained on, as `published.classes`.
        total, kept: pictures of all sets, and those that an earlier run has scored.
    """

    found: Found
    detectors: Sequence[Detector]
    choice: ModelChoice
    runtime: Runtime
    config: EvaluationConfig
    file: ScoreFile
    runs: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._done = scores.done(self.file.path)
        self._by_path = {(row.path, row.model): row for row in self._done.values() if not row.error}
        self.total = sum(len(one.examples) for one in self.found.sets)
        self.kept = sum(self._is_done(one, example) for one in self.found.sets for example in one.examples)

    def __iter__(self) -> Iterator[int]:
        for test_set in self.found.sets:
            yield from self._score(test_set)

    def rows(self) -> pd.DataFrame:
        """All scores of these models, without those of pictures that have gone from their set since."""
        rows = scores.read(self.file.path)
        here = {(one.key, one_line(example.name)) for one in self.found.sets for example in one.examples}
        looked_at = rows["set"].isin([one.key for one in self.found.sets])
        there = np.array([pair in here for pair in zip(rows["set"], rows["path"], strict=True)])
        wanted: pd.DataFrame = rows[~looked_at | there]
        return wanted

    def _score(self, test_set: TestSet) -> Iterator[int]:
        pending = [example for example in test_set.examples if not self._is_done(test_set, example)]
        shared = [example for example in pending if self._is_shared(example)]
        if shared:
            self._keep([row for example in shared for row in self._copies(test_set, example)])
            yield len(shared)
        left = [example for example in pending if not self._is_shared(example)]
        reading = threads.map_ordered(
            partial(view, test_set=test_set.key, config=self.config), left, self.config.workers
        )
        for examples, batch in _batches(
            zip(left, reading, strict=True), self.config.batch or self.runtime.batch
        ):
            findings = scorer.score(batch, self.runtime, "")
            self._accept(test_set, examples, findings)
            yield len(examples)

    def _accept(self, test_set: TestSet, examples: Sequence[Example], findings: Sequence[ScanResult]) -> None:
        """Keep what was scored; then, unless they are to be skipped, stop at the first unreadable picture."""
        for example, finding in zip(examples, findings, strict=True):
            if not finding.scores and not self.config.skip_unreadable:
                position = examples.index(example)
                self._keep(self._rows(test_set, examples[:position], findings[:position]))
                raise UnreadablePicture(
                    f"{finding.name} can't be read: {finding.error}: {finding.message}",
                    "Mend or remove it, or go on without such pictures with --skip-unreadable.",
                )
        self._keep(self._rows(test_set, examples, findings))

    def _rows(
        self, test_set: TestSet, examples: Sequence[Example], findings: Sequence[ScanResult]
    ) -> list[Row]:
        rows = []
        for example, finding in zip(examples, findings, strict=True):
            blanks = [self._blank(test_set, example, index) for index in range(len(self.runtime.detectors))]
            if finding.scores:
                rows += [
                    replace(blank, logit=score.logit, score=score.score)
                    for blank, score in zip(blanks, finding.scores, strict=True)
                ]
            else:
                why = one_line(f"{finding.error}: {finding.message}")
                rows += [replace(blank, error=why) for blank in blanks]
        return rows

    def _blank(self, test_set: TestSet, example: Example, model: int) -> Row:
        detector = self.runtime.detectors[model]
        return Row(
            set=test_set.key,
            group=one_line(example.group),
            path=one_line(example.name),
            label="synthetic" if example.synthetic else "real",
            model=detector.name,
            digest=detector.digest,
            crops=self.config.crops,
            perturbation=self.config.perturbation,
        )

    def _copies(self, test_set: TestSet, example: Example) -> list[Row]:
        blanks = (self._blank(test_set, example, index) for index in range(len(self.runtime.detectors)))
        known = ((blank, self._by_path[blank.path, blank.model]) for blank in blanks)
        return [replace(blank, logit=row.logit, score=row.score) for blank, row in known]

    def _keep(self, rows: list[Row]) -> None:
        new = [row for row in rows if self._done.get(row.key) != row]
        self.file.append(new)
        for row in new:
            self._done[row.key] = row
            if not row.error:
                self._by_path[row.path, row.model] = row

    def _is_done(self, test_set: TestSet, example: Example) -> bool:
        """Whether every model has a score; a picture that could not be read is tried again."""
        label = "synthetic" if example.synthetic else "real"
        keys = ((test_set.key, label, one_line(example.name), d.name) for d in self.runtime.detectors)
        return all(key in self._done and not self._done[key].error for key in keys)

    def _is_shared(self, example: Example) -> bool:
        """Whether another set has the same picture scored; perturbations are drawn for each set anew."""
        name = one_line(example.name)
        return not self.config.perturbation and all(
            (name, detector.name) in self._by_path for detector in self.runtime.detectors
        )


def open_evaluation(
    found: Found,
    tests: Sequence[Path],
    models: Sequence[str],
    folder: Path,
    config: EvaluationConfig,
    fresh: bool = False,
    encoder: Path | None = None,
) -> Evaluation:
    """Load the models and open ``folder``, where an earlier evaluation with the same settings goes on.

    Args:
        tests: the folders that ``found`` is in.
        models: names of the catalog or checkpoints; none: as `choose_models`.
        encoder: weights of the encoder that checkpoints were trained on.

    Raises:
        ModelError: a model is unknown, not installed, or not what it was.
        RuntimeUnavailable: the device or precision asked for is not to be had.
        OutputError: the folder holds another evaluation, or can't be written.
    """
    from sidscan.runtimes.pytorch import PyTorchRuntime  # here: it loads torch

    choice = choose_models(models)
    names = choice.names
    loaded = detectors.load_detectors(names, encoder=encoder)
    runtime = PyTorchRuntime(loaded, config.device, config.precision)
    runs, classes = _of_checkpoints(names, loaded)
    file = hold(folder, settings(tests, runtime, config), fresh)
    return Evaluation(found, loaded, choice, runtime, config, file, runs, classes)


def _of_checkpoints(
    names: Sequence[str], loaded: Sequence[Detector]
) -> tuple[dict[str, str], dict[str, str]]:
    """By checkpoint: the published run with its very configuration, as far as there is one; its classes."""
    from sidscan.models import checkpoints

    runs: dict[str, str] = {}
    classes: dict[str, str] = {}
    for name, detector in zip(names, loaded, strict=True):
        if name not in CATALOG:
            checkpoint, _ = checkpoints.read_checkpoint(Path(name))
            run = published.of_training(checkpoint.encoder, checkpoint.facts)
            runs |= {detector.info.name: run.name} if run else {}
            classes[detector.info.name] = published.classes(checkpoint.facts)
    return runs, classes


def settings(tests: Sequence[Path], runtime: Runtime, config: EvaluationConfig) -> dict[str, str]:
    """Everything besides the pictures that a score depends on, in words; `hold` compares it."""
    return {
        "sidscan": __version__,
        "tests": ", ".join(str(path.resolve()) for path in tests),
        "models": ", ".join(f"{d.name} {d.digest}" for d in runtime.detectors),
        "crops": config.crops,
        "perturbation": config.perturbation or "none",
        "seed": str(config.seed) if config.perturbation else "-",
        "decoder": decode.decoder_name(),
        "runtime": f"{runtime.info.runtime}, {runtime.info.device}, {runtime.info.precision}",
    }


def hold(folder: Path, asked: dict[str, str], fresh: bool) -> ScoreFile:
    """The folder's scores file, open for an evaluation with these settings, or a refusal to mix two.

    Nothing that is there changes before the file is this evaluation's alone.

    Args:
        fresh: forget the scores that are there.

    Raises:
        OutputError: an evaluation with other settings is there, or one that is running; or the folder can't
            be written.
    """
    make_folder(folder)
    file = ScoreFile(folder / SCORES, fresh)
    try:
        _agree(folder, asked, file.started)
    except BaseException:
        file.close()
        raise
    return file


def _agree(folder: Path, asked: dict[str, str], started: bool) -> None:
    """Write the settings down; if there are scores already, only where they are of the same ones."""
    try:
        held = _held(folder / SETTINGS) if started else asked
    except OSError as error:
        raise OutputError(f"can't use {folder}: {error.strerror}", "Choose another --out.") from error
    other = [
        f"{name}: {held.get(name)}, now {asked[name]}" for name in asked if held.get(name) != asked[name]
    ]
    if other:
        raise OutputError(
            f"{folder} holds an evaluation with other settings ({'; '.join(other)})",
            "Choose another --out, or start over with --fresh.",
        )
    write_json(folder / SETTINGS, asked)


def view(example: Example, test_set: str, config: EvaluationConfig) -> DecodedImage | Failure:
    """Read one picture as a scan does but for its EXIF, and perturb it where that is asked for."""
    item = Item(str(example.path))
    try:
        data = example.path.read_bytes()
        picture = decode.decode(data)
        if config.perturbation:
            picture = _perturbed(picture, example, test_set, config)
        crops = views.crop(picture, config.crops)
    except Exception as error:  # decoders raise almost any class on malformed files
        return Failure(item, Stage.DECODE, type(error).__name__, str(error) or type(error).__name__)
    return DecodedImage(item, ImageInfo(bytes=len(data), sha256=hashlib.sha256(data).hexdigest()), crops)


def _perturbed(
    picture: decode.SourceImage, example: Example, test_set: str, config: EvaluationConfig
) -> decode.SourceImage:
    rng = perturbations.generator(config.seed, test_set, example.name)
    pixels = np.asarray(picture.image.convert("RGB"))
    changed = perturbations.apply(config.perturbation, pixels, rng)
    return picture if changed is None else replace(picture, image=Image.fromarray(changed))


def _held(path: Path) -> dict[str, str]:
    try:
        held: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return held


def _batches(
    samples: Iterable[tuple[Example, DecodedImage | Failure]], crops: int
) -> Iterator[tuple[list[Example], list[DecodedImage | Failure]]]:
    """Group until there are ``crops`` crops; a failure weighs as one."""
    examples: list[Example] = []
    batch: list[DecodedImage | Failure] = []
    weight = 0
    for example, sample in samples:
        examples.append(example)
        batch.append(sample)
        weight += len(set(sample.views.order)) if isinstance(sample, DecodedImage) else 1
        if weight >= crops:
            yield examples, batch
            examples, batch, weight = [], [], 0
    if batch:
        yield examples, batch
