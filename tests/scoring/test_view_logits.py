"""Detectors that read pictures of whole images, beside those that read crops."""

from __future__ import annotations

from concurrent.futures import CancelledError
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sidscan import pipeline
from sidscan.config import ScanConfig
from sidscan.errors import RuntimeUnavailable, UsageError
from sidscan.images import items, views
from sidscan.images.decode import SourceImage
from sidscan.isolation.frames import Frame
from sidscan.isolation.protocol import encode_task
from sidscan.models.backbones import Feature
from sidscan.models.backbones.base import Encoder
from sidscan.models.cascade import Cascade
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.detectors import Detector
from sidscan.models.heads.linear_probe import LinearProbe
from sidscan.records import CropSet, DecodedImage, ImageInfo, Item, ScanResult, Status
from sidscan.records.views import ImageView
from sidscan.runtimes import RuntimeInfo
from sidscan.runtimes.pytorch import PyTorchRuntime
from sidscan.scoring.evidence import sigmoid
from sidscan.scoring.scorer import Scorer, score

RESIZED = ImageView(resize=64, both_sides=True)
CENTRE = ImageView(crop=100)
WHOLE = ImageView()


class Brightness(Encoder):
    """The mean of all pixels, as the embedding (b, 1)."""

    mirror_invariant = True

    def read(self, crops: Tensor, features: set[Feature]) -> dict[Feature, Tensor]:  # type: ignore[override]
        return {"embedding": crops.float().mean(dim=(1, 2, 3))[:, None] / 255}


def described(name: str, view: ImageView | None, cascade: Cascade | None = None) -> DetectorInfo:
    return DetectorInfo(name, "d", 0.5, {name: "d"}, {}, view=view, cascade=cascade)


def detector(name: str, view: ImageView | None, factor: float = 1.0) -> Detector:
    head = LinearProbe(1)
    with torch.no_grad():
        head.weight.fill_(factor)
        head.bias.fill_(0.0)
    return Detector(
        DetectorInfo(name, "d", 0.5, {name: "d"}, {}, view=view), Brightness(), head.eval(), False
    )


DETECTORS = [
    detector("centre", CENTRE),
    detector("crops", None),
    detector("resized", RESIZED, 2.0),
    detector("whole", WHOLE),
    detector("again", RESIZED, -1.0),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number, size in enumerate([(300, 200), (120, 90), (224, 224), (300, 200)]):
        noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:200])
    return folder


def scanned(images: Path, detectors: list[Detector], **options: object) -> list[ScanResult]:
    config = ScanConfig(inputs=(str(images),), journal=None, models=("mini",), **options)  # type: ignore[arg-type]
    scan = pipeline.open_scan(config, runtime=PyTorchRuntime(detectors, "cpu"))
    with closing(scan.journal) as journal:
        list(scan)
        return sorted(journal.results(), key=lambda result: result.name)


def mean_of(image: Image.Image) -> float:
    return float(np.asarray(image, np.float32).mean() / 255)


@pytest.mark.parametrize("isolation", [True, False], ids=["workers", "one process"])
def test_each_detector_reads_what_it_states(images: Path, isolation: bool) -> None:
    rows = scanned(images, DETECTORS, isolation=isolation, crops="center")
    assert [row.status.value for row in rows] == ["scored"] * 4 + ["truncated"]
    for row in rows[:-1]:
        by_model = {each.model: each for each in row.scores}
        assert list(by_model) == ["centre", "crops", "resized", "whole", "again"]
        with Image.open(row.name) as image:
            resized = mean_of(image.resize((64, 64), Image.Resampling.BILINEAR))
            whole = mean_of(image)
        assert by_model["resized"].logit == pytest.approx(2 * resized, abs=1e-5)
        assert by_model["again"].logit == pytest.approx(-resized, abs=1e-5)
        assert by_model["whole"].logit == pytest.approx(whole, abs=1e-5)
        assert by_model["resized"].model_input == "resized to 64 x 64 px (bilinear)"
        assert by_model["whole"].model_input == "whole image"
        assert by_model["crops"].model_input == ""
        assert by_model["crops"].highest_crop == "centre"
        assert by_model["whole"].highest_crop is None
        assert by_model["whole"].crop_scores == (round(sigmoid(by_model["whole"].logit), 4),)
        assert row.views == 1


def test_the_score_of_a_detector_does_not_depend_on_the_others(images: Path) -> None:
    together = scanned(images, DETECTORS)
    for each in DETECTORS:
        alone = scanned(images, [each], isolation=False)
        for row, other in zip(alone, together, strict=True):
            assert row.scores == tuple(one for one in other.scores if one.model == each.info.name)


def test_rows_without_crops_state_what_was_read(images: Path) -> None:
    row, small, *_ = scanned(images, [detector("centre", CENTRE)])
    assert (row.views, row.share_scored) == (1, round(100 * 100 / (300 * 200), 6))
    assert small.scores[0].model_input == "centre 100 x 100 px of the image"
    assert small.share_scored == round(100 * 90 / (120 * 90), 6)


@pytest.mark.parametrize(("count", "num_views"), [(1, 1), (3, 2), (5, 3)])
def test_an_image_is_decoded_once_for_all_detectors(
    images: Path, count: int, num_views: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    decode_item, make_view = items.decode_item, views.make_view
    made: list[ImageView] = []

    def making(source: SourceImage, view: ImageView) -> NDArray[np.uint8]:
        made.append(view)
        return make_view(source, view)

    def counting(item: Item, *rest: object, **named: object) -> object:
        decoded.append(item.name)
        return decode_item(item, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(items, "decode_item", counting)
    monkeypatch.setattr(views, "make_view", making)
    rows = scanned(images, DETECTORS[:count], isolation=False)
    assert {len(row.scores) for row in rows[:-1]} == {count}
    assert sorted(decoded) == [row.name for row in rows]
    assert len(made) == 4 * num_views, "one for all detectors that read it"


def test_a_worker_makes_the_pictures_and_gets_one_task_per_image(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[str] = []

    def counting(item: Item, data: bytes | None = None) -> Frame:
        tasks.append(item.name)
        return encode_task(item, data)

    def here(*_: object) -> None:
        raise AssertionError("made in the scan's own process")

    monkeypatch.setattr("sidscan.isolation.reader.encode_task", counting)
    monkeypatch.setattr(views, "make_view", here)
    rows = scanned(images, DETECTORS)
    assert {len(row.scores) for row in rows[:-1]} == {5}
    assert sorted(tasks) == [row.name for row in rows]


@pytest.mark.parametrize(
    ("side", "limits", "status"),
    [
        pytest.param(12_000, {"memory_limit": 256}, Status.MEMORY_LIMIT, id="memory"),
        pytest.param(9_000, {"item_timeout": 0.3}, Status.TIMEOUT, id="time"),
    ],
)
def test_the_limits_of_an_image_hold_for_its_pictures(
    images: Path, side: int, limits: dict[str, float], status: Status
) -> None:
    large = detector("large", ImageView(resize=side, both_sides=True, filter="lanczos"))
    (row,) = scanned(images / "0.png", [large], **limits)
    assert (row.status, row.scores) == (status, ())


def test_a_closer_look_needs_a_detector_of_crops(images: Path) -> None:
    with pytest.raises(UsageError, match="whole: no windows to score, since whole images are read"):
        scanned(images, [detector("whole", WHOLE)], look_closer=1)


class Recorded:
    """A runtime that records what it gets; it holds no more than two pictures."""

    info = RuntimeInfo("test", "cpu", "fp32")
    batch, at_once, devices = 40, 2, 1

    def __init__(self, *detectors: DetectorInfo) -> None:
        self.detectors = detectors
        self.pictures: list[tuple[int, ...]] = []

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        return np.full((len(crops.order), 1), 3.0, np.float32)

    def view_logits(self, view: ImageView, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.pictures.append(pictures.shape)
        if len(pictures) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return pictures[:, 0, 0, :1].astype(np.float32)

    def abandon(self) -> None:
        pass


def decoded(red: int, *sides: tuple[int, int]) -> DecodedImage:
    crops = CropSet(np.zeros((1, 224, 224, 3), np.uint8), ((0, False),) * 10)
    views = {
        ImageView(max_side=most): np.full((*size, 3), red, np.uint8) for most, size in enumerate(sides, 1)
    }
    return DecodedImage(Item(str(red)), ImageInfo(bytes=1), crops, views=views)


def test_pictures_of_one_size_are_computed_together_as_many_as_memory_holds() -> None:
    runtime = Recorded(described("whole", ImageView(max_side=1)))
    images = [decoded(red, (8, 8 + 8 * (red == 9))) for red in (1, 2, 9, 3, 4, 5)]
    results = score(images, runtime, "now")
    assert [row.scores[0].logit for row in results] == [1, 2, 9, 3, 4, 5]
    assert runtime.pictures == [
        (5, 8, 8, 3),
        (2, 8, 8, 3),
        (2, 8, 8, 3),
        (1, 8, 8, 3),
        (1, 8, 16, 3),
    ]


def test_a_scan_remembers_how_many_pictures_memory_held() -> None:
    runtime = Recorded(described("whole", ImageView(max_side=1)), described("other", ImageView(max_side=2)))
    scorer = Scorer(runtime)
    for reds in [(1, 2, 3), (4, 5, 6)]:
        images = [decoded(red, (8, 8), (8, 8)) for red in reds]
        scorer.score(scorer.begin(images, "now"))
    assert [count for count, *_ in runtime.pictures] == [*(3, 1, 1, 1), *(3, 1, 1, 1), *6 * [1]]


def test_large_pictures_are_computed_alone() -> None:
    runtime = Recorded(described("whole", ImageView(max_side=1)))
    score([decoded(1, (2000, 1200)), decoded(2, (2000, 1200))], runtime, "now")
    assert runtime.pictures == [(1, 2000, 1200, 3)] * 2


def test_a_cascade_of_crops_runs_beside_pictures() -> None:
    cascade = Cascade(centre=1.0, mirrors=1.0)
    runtime = Recorded(described("whole", ImageView(max_side=1)), described("crops", None, cascade))
    (row,) = score([decoded(7, (8, 8))], runtime, "now", effort="normal")
    assert [each.logit for each in row.scores] == [7.0, 3.0]
    assert row.views == 5, "3 is far enough from the threshold"


def test_a_picture_whose_logit_is_not_finite_has_no_score() -> None:
    class Broken(Recorded):
        def view_logits(self, view: ImageView, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.full((len(pictures), 1), np.nan, np.float32)

    (row,) = score([decoded(7, (8, 8))], Broken(described("whole", ImageView(max_side=1))), "now")
    assert (row.error, row.scores) == ("NonFiniteScore", ())


def test_exported_graphs_read_no_whole_images() -> None:
    class Graph:
        info = Recorded.info
        batch, at_once, devices = 40, 2, 1
        detectors: tuple[DetectorInfo, ...] = (described("whole", ImageView(max_side=1)),)

        def logits(self, crops: CropSet) -> NDArray[np.float32]:
            raise AssertionError("no detector reads crops")

        def abandon(self) -> None:
            pass

    with pytest.raises(RuntimeUnavailable, match="exported graphs read crops, no whole images"):
        score([decoded(7, (8, 8))], Graph(), "now")


def test_results_of_another_view_are_not_used_again(tmp_path: Path, images: Path) -> None:
    config = ScanConfig(inputs=(str(images),), journal=tmp_path / "j", models=("mini",))
    made = []
    for view in (WHOLE, WHOLE, RESIZED):
        runtime = PyTorchRuntime([detector("whole", view)], "cpu")
        scan = pipeline.open_scan(config, runtime=runtime)
        with closing(scan.journal):
            made.append((len(list(scan)), scan.changes))
    assert made[0][0] == 5
    assert made[1] == (0, ())
    assert made[2] == (5, ("another card of whole",))


def test_after_an_interruption_no_further_picture_is_computed() -> None:
    scorer: list[Scorer] = []

    class Interrupted(Recorded):
        def view_logits(self, view: ImageView, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
            scorer[0].abandon()
            return super().view_logits(view, pictures)

    runtime = Interrupted(described("whole", ImageView(max_side=1)))
    scorer.append(Scorer(runtime))
    job = scorer[0].begin([decoded(1, (8, 8)), decoded(2, (8, 16)), decoded(3, (8, 24))], "now")
    with pytest.raises(CancelledError):
        scorer[0].score(job)
    assert len(runtime.pictures) == 1
