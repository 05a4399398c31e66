"""The shipped localizer on repositories that it never saw: the list, the order, going on, the text."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("cv2")

from sidscan.errors import UsageError
from sidscan.training.localizer_b16 import unseen
from sidscan.training.localizer_b16.agreement import THRESHOLDS, MapAgreement
from sidscan.training.localizer_b16.measure import WITH_REGIONS, Job
from sidscan.training.localizer_b16.results import ERRORS, INSPECTED, MINI, OURS, Result
from sidscan.training.localizer_b16.unseen_figures import PhotographReading, unseen_figures
from sidscan.training.localizer_b16.unseen_text import unseen_section
from sidscan.training.windows.corpus import Window
from sidscan.training.windows.gather import WINDOW_LISTS
from sidscan.training.windows.whole_images import IMAGE_LISTS, read_image_list

WEIGHTS = resources.files("sidscan.weights")


def test_no_detector_of_ours_was_fitted_to_a_listed_repository() -> None:
    listed = read_image_list(IMAGE_LISTS["unseen_images"])
    used = {image.repo for image in read_image_list()}
    for path in WINDOW_LISTS.values():
        with path.open(newline="", encoding="utf-8") as file:
            used |= {row["repo"] for row in csv.DictReader(file)}
    for name in ("localizer_b16", "rine_b16", "mini"):
        card = json.loads(WEIGHTS.joinpath(f"{name}.json").read_text(encoding="utf-8"))
        used |= {source["repository"] for source in card["sources"]}
    assert not {image.repo.lower() for image in listed} & {repo.lower() for repo in used}
    assert max(Counter(image.repo for image in listed).values()) <= 10
    for synthetic, least in ((True, 12), (False, 25)):
        assert len({image.repo for image in listed if image.synthetic is synthetic}) >= least
    assert len({image.blob for image in listed}) == len(listed)


def test_any_beginning_has_about_equally_many_of_all() -> None:
    jobs = unseen.unseen_jobs()
    assert len({*jobs}) == len(jobs)
    for length in (50, 200, len(jobs)):
        rows = Counter(
            (j.kind, j.area, j.condition) for j in jobs[:length] if j.kind in WITH_REGIONS and j.side == 560
        )
        assert max(rows.values()) - min(rows.values()) <= 1
    assert max(rows.values()) == unseen.EACH
    assert sum(job.inspected for job in jobs) == 4 * unseen.INSPECTED


def test_images_are_spread_over_repositories() -> None:
    images = [Window(f"{repo}{i}", False, "web", repo, "MIT") for repo in "abc" for i in range(2)]
    assert [image.file for image in unseen.spread(images)] == ["a0", "b0", "c0", "a1", "b1", "c1"]


class Counted(unseen.Measurement):
    """Measures by counting."""

    def tasks(self) -> Iterator[tuple[str, Job | Window]]:
        for number in range(4):
            yield str(number), Job("inserted", 0.05, number, "JPEG 95")

    def measured(self, task: Job | Window) -> Result | PhotographReading:
        assert isinstance(task, Job)
        if task.number == stops_at:
            raise KeyboardInterrupt
        seen.append(task.number)
        return composite(0.5, number=task.number)


seen: list[int] = []
stops_at = 2


def test_a_stopped_measurement_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, measurement = tmp_path / "unseen.jsonl", Counted((), tmp_path, tmp_path)
    monkeypatch.setitem(globals(), "seen", [])
    with pytest.raises(KeyboardInterrupt):
        unseen.measure(measurement, path, minutes=9)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"name": "2", "result": {"kin')  # killed while it wrote
    monkeypatch.setitem(globals(), "stops_at", -1)
    assert len(unseen.measure(measurement, path, minutes=0)) == 2
    assert len(unseen.measure(measurement, path, minutes=9)) == 4
    assert [*seen] == [0, 1, 2, 3]
    assert len(unseen.measure(measurement, path, minutes=0)) == 4


def composite(iou: float, contrast: float = 3.0, number: int = 0, kind: str = "inserted") -> Result:
    ious = None if kind == "spliced" else [iou] * len(THRESHOLDS)
    maps: dict[str, MapAgreement] = {
        name: {"marked": [0.1] * len(THRESHOLDS), "iou": ious, "ap": 0.25}
        for name in (OURS, INSPECTED, MINI, ERRORS)
    }
    return {
        "kind": kind,
        "area": 0.05,
        "number": number,
        "condition": "JPEG 95",
        "fold": number % 5,
        "repos": ["a/real", "b/synthetic"],
        "side": 560,
        "synthetic": 0.05,
        "contrast": contrast,
        "maps": maps,
    }


def photograph(contrast: float, repo: str, kind: str = "web", synthetic: bool = False) -> PhotographReading:
    marked = [0.2] * len(THRESHOLDS)
    return {
        "contrast": contrast,
        "marked": marked,
        "kind": kind,
        "repo": repo,
        "file": f"{repo}/{contrast}",
        "synthetic": synthetic,
    }


def test_the_section_says_how_many_and_by_which_alarm() -> None:
    windows = [
        Window("1", False, "web", "a/real", "MIT"),
        Window("2", True, "sdxl", "b/synthetic", "none stated"),
    ]
    results: list[Result | PhotographReading] = [
        *(
            composite(iou, contrast, i)
            for i, (iou, contrast) in enumerate([(0.2, 3.0), (0.4, 1.0), (0.6, 1.0)])
        ),
        *(composite(0.0, 1.0, i, "spliced") for i in range(3)),
        photograph(3.0, "a/real"),
        photograph(1.0, "c/real"),
        photograph(1.0, "b/synthetic", "sdxl", synthetic=True),
    ]
    figures = unseen_figures(results, 2.62, windows)
    assert [source["images"] for source in figures["sources"]] == [1, 1]
    text = unseen_section(figures)
    assert "on 1 photographs of\n1 repositories and 1 synthetic images of 1." in text
    for row in (
        "| inserted | 5 % | 560 px | JPEG 95 | 3 | 0.40 | 0.12 | 0.25 | 33 % (6 to 79) |",
        "| spliced | 5 % | 3 | 10 % | 0 % (0 to 56) |",
        "| all photographs | 2 | 2 | 20.0 % | 1 (9.4 to 90.5 %) |",
        "| synthetic | 1 | 1 | 20.0 % | 0 (0.0 to 79.3 %) |",
    ):
        assert row in text
    assert "Beside it" not in text, "nothing was pasted back, so there is no table of both kinds"


def test_missing_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    found = CliRunner().invoke(
        unseen.unseen_command,
        ["--whole", str(tmp_path / "whole"), "--weights", str(WEIGHTS), "--work", str(tmp_path / "work")],
    )
    assert isinstance(found.exception, UsageError)
    assert "whole needs images of both labels" in str(found.exception)
    assert "--list unseen_images" in found.exception.remedy
