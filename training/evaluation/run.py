"""Test sets -> scores.csv, with the decoder, the runtime, the batches and the averaging of `sidscan scan`."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from sidscan._version import __version__
from sidscan.config import CROPS_PER_IMAGE
from sidscan.errors import UsageError
from sidscan.images import decode
from sidscan.models import detectors
from sidscan.models.detector_info import views_of
from sidscan.models.detectors import Detector
from sidscan.models.refs import ModelChoice, ModelKind, ModelRef, choose_models
from sidscan.records import DecodedImage, Failure, ScanResult
from sidscan.runtimes import Runtime
from sidscan.scoring.scorer import Scorer, ScoringJob
from sidscan.training.common.durable_file import escape_line_breaks
from sidscan.training.common.files import make_folder
from sidscan.training.common.run_settings import check_settings
from sidscan.training.datasets.rows import LabelledImage
from sidscan.util import threads

from . import published, scores
from .config import EvaluationConfig
from .reading import read_test_image
from .scores import ScoreFile, ScoreRow
from .testsets import TestSet, TestSetCollection

_SCORES_FILE = "scores.csv"


class UnreadableImage(UsageError):
    """An image of a test set can't be read, and the caller did not ask to skip such images."""


@dataclass
class Evaluation:
    """An evaluation that is ready to run. Iterating over it yields the number of images finished each time.

    Rows are durable before their number is yielded. An image that several sets share is scored once.

    Attributes:
        choice: why these models were chosen.
        runs: checkpoints by name -> the published run with their configuration.
        classes: checkpoints by name -> what they were trained on, as `published.training_classes` says it.
        num_images: images of all sets; one that several sets share counts in each.
        num_files: different images.
        num_reused: of ``num_images``, those that an earlier run has scored.
    """

    test_sets: TestSetCollection
    detectors: Sequence[Detector]
    choice: ModelChoice
    runtime: Runtime
    config: EvaluationConfig
    file: ScoreFile
    runs: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rows_by_key = scores.latest_rows(self.file.path)
        self._scored = {(row.path, row.model): row for row in self._rows_by_key.values() if not row.error}
        pairs = [(test_set, image) for test_set in self.test_sets.sets for image in test_set.images]
        self.num_images = len(pairs)
        self.num_files = len({image.path for _, image in pairs})
        self.num_reused = sum(self._is_done(test_set, image) for test_set, image in pairs)

    def __iter__(self) -> Iterator[int]:
        for test_set in self.test_sets.sets:
            pending = [image for image in test_set.images if not self._is_done(test_set, image)]
            shared = [image for image in pending if self._is_shared(image)]
            unscored = [image for image in pending if not self._is_shared(image)]
            if shared:
                self._append([row for image in shared for row in self._copied_rows(test_set, image)])
                yield len(shared)
            yield from self._score(test_set, unscored)

    def score_table(self) -> pd.DataFrame:
        """All scores of these models, except those of images that have since left their set."""
        rows = scores.read_scores(self.file.path)
        sets = self.test_sets.sets
        present = {
            (test_set.key, escape_line_breaks(image.name)) for test_set in sets for image in test_set.images
        }
        in_sets = rows["set"].isin([test_set.key for test_set in sets])
        is_present = np.array([pair in present for pair in zip(rows["set"], rows["path"], strict=True)])
        selected: pd.DataFrame = rows[~in_sets | is_present]
        return selected

    def _score(self, test_set: TestSet, images: Sequence[LabelledImage]) -> Iterator[int]:
        """Score images of a set in batches, and record each batch."""
        scorer = Scorer(self.runtime)
        unrecorded = iter(images)
        with closing(self._jobs(scorer, test_set, images)) as jobs:
            for job in jobs:
                results = scorer.end(job)
                self._record(test_set, list(islice(unrecorded, len(results))), results)
                yield len(results)

    def _jobs(
        self, scorer: Scorer, test_set: TestSet, images: Sequence[LabelledImage]
    ) -> Generator[ScoringJob, None, None]:
        """Scored batches in the order of the images, batched as in `sidscan.pipeline.Scan`."""
        runtime, config = self.runtime, self.config
        views = views_of(runtime.detectors)
        read = partial(read_test_image, test_set=test_set.key, config=config, views=views)
        with closing(threads.OrderedMap(read, images, config.workers)) as samples:
            try:
                yield from threads.map_batches(
                    samples,
                    weigh=_num_crops,
                    enough=(config.batch or runtime.batch) - CROPS_PER_IMAGE[config.crops] + 1,
                    begin=lambda batch: scorer.begin(batch, ""),
                    function=scorer.score,
                    at_once=runtime.at_once,
                )
            finally:  # nobody waits for batches that are under way
                runtime.abandon()

    def _record(
        self, test_set: TestSet, images: Sequence[LabelledImage], results: Sequence[ScanResult]
    ) -> None:
        """Append the rows of a batch; unless unreadable images are skipped, only up to the first of them.

        Raises:
            UnreadableImage: there is one.
        """
        unreadable = [index for index, result in enumerate(results) if not result.scores]
        if not unreadable or self.config.skip_unreadable:
            self._append(self._rows(test_set, images, results))
            return
        self._append(self._rows(test_set, images[: unreadable[0]], results[: unreadable[0]]))
        result = results[unreadable[0]]
        raise UnreadableImage(
            f"{result.name} can't be read: {result.error}: {result.message}",
            "Repair or remove it, or leave such images out with --skip-unreadable.",
        )

    def _rows(
        self, test_set: TestSet, images: Sequence[LabelledImage], results: Sequence[ScanResult]
    ) -> list[ScoreRow]:
        rows = []
        for image, result in zip(images, results, strict=True):
            blanks = self._blank_rows(test_set, image)
            if result.scores:
                rows += [
                    replace(blank, logit=score.logit, score=score.score)
                    for blank, score in zip(blanks, result.scores, strict=True)
                ]
            else:
                error = escape_line_breaks(f"{result.error}: {result.message}")
                rows += [replace(blank, error=error) for blank in blanks]
        return rows

    def _copied_rows(self, test_set: TestSet, image: LabelledImage) -> list[ScoreRow]:
        """Rows of an image that was scored for another set."""
        pairs = [(row, self._scored[row.path, row.model]) for row in self._blank_rows(test_set, image)]
        return [replace(blank, logit=scored.logit, score=scored.score) for blank, scored in pairs]

    def _blank_rows(self, test_set: TestSet, image: LabelledImage) -> list[ScoreRow]:
        """One row for each model, with neither a score nor an error yet."""
        return [
            ScoreRow(
                set=test_set.key,
                group=escape_line_breaks(image.group),
                path=escape_line_breaks(image.name),
                generator=escape_line_breaks(image.generator),
                label=image.label,
                model=detector.name,
                digest=detector.digest,
                crops=str(detector.view or self.config.crops),
                perturbation=self.config.perturbation,
            )
            for detector in self.runtime.detectors
        ]

    def _append(self, rows: Sequence[ScoreRow]) -> None:
        new = [row for row in rows if self._rows_by_key.get(row.key) != row]
        self.file.append(new)
        for row in new:
            self._rows_by_key[row.key] = row
            if not row.error:
                self._scored[row.path, row.model] = row

    def _is_done(self, test_set: TestSet, image: LabelledImage) -> bool:
        """Whether every model has scored the image. An image that could not be read is tried again."""
        name = escape_line_breaks(image.name)
        keys = [(test_set.key, image.label, name, detector.name) for detector in self.runtime.detectors]
        return all(key in self._rows_by_key and not self._rows_by_key[key].error for key in keys)

    def _is_shared(self, image: LabelledImage) -> bool:
        """Whether the same image was scored for another set. Drawn perturbations are of each set."""
        name = escape_line_breaks(image.name)
        return not self.config.is_drawn and all(
            (name, detector.name) in self._scored for detector in self.runtime.detectors
        )


def open_evaluation(
    test_sets: TestSetCollection,
    tests: Sequence[Path],
    models: Sequence[str],
    folder: Path,
    config: EvaluationConfig,
    fresh: bool = False,
    encoder: Path | None = None,
) -> Evaluation:
    """Load the models and open ``folder``. An earlier evaluation there with the same settings continues.

    Args:
        tests: the folders that hold ``test_sets``.
        models: names of the catalog, or checkpoints; if empty, as `choose_models` chooses.
        encoder: weights of the encoder that checkpoints were trained on.

    Raises:
        ModelError: a model is unknown, is not installed, or has changed since it was installed.
        RuntimeUnavailable: the requested device or precision is not available.
        OutputError: the folder holds another evaluation, or can't be written.
    """
    from sidscan.runtimes.pytorch import PyTorchRuntime  # here: it loads torch

    choice = choose_models(models)
    loaded = detectors.load_detectors(choice.names, encoder=encoder)
    runtime = PyTorchRuntime(loaded, config.device, config.precision, config.batch)
    runs, classes = checkpoint_origins(choice.models)
    file = open_score_file(folder, evaluation_settings(test_sets.layout, tests, runtime, config), fresh)
    return Evaluation(test_sets, loaded, choice, runtime, config, file, runs, classes)


def checkpoint_origins(models: Sequence[ModelRef]) -> tuple[dict[str, str], dict[str, str]]:
    """Checkpoint -> the published run with the same configuration, if there is one; checkpoint -> classes.

    Checkpoints are called as reports call them: by the names of their files.

    Raises:
        ModelError: one can't be read.
    """
    from sidscan.models import checkpoints

    runs: dict[str, str] = {}
    classes: dict[str, str] = {}
    for model in models:
        if model.kind is ModelKind.CHECKPOINT:
            checkpoint, _ = checkpoints.read_checkpoint(model.path)
            run = published.run_of_checkpoint(checkpoint.encoder, checkpoint.facts)
            runs |= {model.path.name: run.name} if run else {}
            classes[model.path.name] = published.training_classes(checkpoint.facts)
    return runs, classes


def evaluation_settings(
    layout: str, tests: Sequence[Path], runtime: Runtime, config: EvaluationConfig
) -> dict[str, str]:
    """Everything besides the images that scores depend on, as text. `open_score_file` compares it."""
    return {
        "sidscan": __version__,
        "layout": layout,
        "tests": ", ".join(str(path.resolve()) for path in tests),
        "models": ", ".join(f"{detector.name} {detector.digest}" for detector in runtime.detectors),
        "crops": config.crops,
        "perturbation": config.perturbation or "none",
        "seed": str(config.seed) if config.is_random else "-",
        "decoder": decode.decoder_name(),
        "runtime": f"{runtime.info.runtime}, {runtime.info.device}, {runtime.info.precision}",
    }


def open_score_file(folder: Path, settings: Mapping[str, str], fresh: bool) -> ScoreFile:
    """The folder's scores file, open for an evaluation with these settings.

    Nothing in the folder changes before the file is locked for this evaluation.

    Args:
        fresh: delete the scores in the folder.

    Raises:
        OutputError: the folder holds an evaluation with other settings, or one that is running, or it can't
            be written.
    """
    make_folder(folder)
    file = ScoreFile(folder / _SCORES_FILE, fresh)
    try:
        check_settings(folder, settings, file.started)
    except BaseException:
        file.close()
        raise
    return file


def _num_crops(sample: DecodedImage | Failure) -> int:
    """Crops that an image adds to a batch; 1 for a failure, so that it is recorded soon."""
    return len(set(sample.crop_set.order)) if isinstance(sample, DecodedImage) else 1
