"""Evaluations of detectors that read pictures of whole images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sidscan.models.backbones import Feature
from sidscan.models.backbones.base import Encoder
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.detectors import Detector
from sidscan.models.heads.linear_probe import LinearProbe
from sidscan.models.refs import ChoiceReason, ModelChoice
from sidscan.records.views import ImageView
from sidscan.runtimes.pytorch import PyTorchRuntime
from sidscan.training.datasets.rows import LabelledImage
from sidscan.training.evaluation.config import EvaluationConfig
from sidscan.training.evaluation.embeddings import embed_images
from sidscan.training.evaluation.run import Evaluation
from sidscan.training.evaluation.scores import ScoreFile
from sidscan.training.evaluation.testsets import pair_of_folders


class _Brightness(Encoder):
    """The mean of all pixels, as the embedding (b, 1)."""

    mirror_invariant = True

    def read(self, crops: Tensor, features: set[Feature]) -> dict[Feature, Tensor]:  # type: ignore[override]
        return {"embedding": crops.float().mean(dim=(1, 2, 3))[:, None]}


def _detectors(*views: ImageView | None) -> list[Detector]:
    """One per view; they share an encoder."""
    encoder = _Brightness()
    return [
        Detector(
            DetectorInfo(f"no. {number}", "d", 0.5, {}, {}, view=view),
            encoder,
            LinearProbe(1).requires_grad_(False),
            False,
        )
        for number, view in enumerate(views)
    ]


def test_scores_say_what_each_detector_read(tmp_path: Path) -> None:
    for number, label in enumerate(("real", "synthetic")):
        (tmp_path / label).mkdir()
        image = Image.new("RGB", (300, 240), (40 * number, 0, 0))
        image.paste((255, 255, 255), (0, 0, 30, 30))  # outside of the centre crop
        image.save(tmp_path / label / "a.png")
    detectors = _detectors(None, ImageView(resize=64, both_sides=True))
    with ScoreFile(tmp_path / "scores.csv") as file:
        evaluation = Evaluation(
            pair_of_folders(tmp_path / "real", tmp_path / "synthetic"),
            detectors,
            ModelChoice((), ChoiceReason.ASKED),
            PyTorchRuntime(detectors, "cpu"),
            EvaluationConfig(crops="center"),
            file,
        )
        assert sum(evaluation) == 2
        table = evaluation.score_table()
    assert list(table["crops"]) == ["center", "both sides resized to 64 px (bilinear)"] * 2
    for row in table.to_dict("records"):
        with Image.open(tmp_path / str(row["path"])) as opened:
            seen = opened.crop((38, 8, 262, 232)) if row["model"] == "no. 0" else opened.resize((64, 64), 2)
            brightness = float(np.asarray(seen, np.float64).mean())
        head = detectors[int(str(row["model"])[-1])].head
        assert row["logit"] == pytest.approx(float(head(torch.tensor([[brightness]]))), rel=1e-3, abs=1e-3)


def test_feature_spaces_are_of_what_each_detector_reads(tmp_path: Path) -> None:
    images = []
    for number, (width, height) in enumerate([(300, 260), (240, 400), (300, 260)]):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[: height // 2, :, number] = 200  # the centre crop is as dark as its place says
        pixels[:5] = 255
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        images.append(("set", LabelledImage(tmp_path / f"{number}.png", str(number), number == 1)))
    detectors = _detectors(ImageView(), None, ImageView(resize=64, both_sides=True))
    embedded = list(embed_images(detectors, images, EvaluationConfig()))
    assert [image.synthetic for image in embedded] == [False, True, False]
    for number, image in enumerate(embedded):
        with Image.open(tmp_path / f"{number}.png") as opened:
            left, top = (round((side - 224) / 2) for side in opened.size)
            seen = (opened, opened.crop((left, top, left + 224, top + 224)), opened.resize((64, 64), 2))
            expected = [float(np.asarray(one, np.float64).mean()) for one in seen]
        assert len({round(value) for value in expected}) > 1
        assert [float(z[0]) for z in image.z] == pytest.approx(expected, abs=1e-3)
