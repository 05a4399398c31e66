"""``sidscan inspect``, and ``sidscan scan --look-closer``."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from sample_images import encoded, exif_block, photo
from servers import Server, answer

if TYPE_CHECKING:
    from sample_graphs import ExportedGraphs

Run = Callable[..., Any]
NOT_THE_IMAGE = (
    "a window's score is not the image's score, and a map does not show where an image was edited: "
    "the detector was trained on whole images"
)


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(encoded(photo(400, 300, 1), "PNG"))
    (folder / "b.jpg").write_bytes(encoded(photo(700, 500, 2), "JPEG", quality=95, exif=exif_block()))
    (folder / "small.png").write_bytes(encoded(photo(100, 80, 3), "PNG"))
    (folder / "plain.png").write_bytes(encoded(Image.new("RGB", (300, 300), "navy"), "PNG"))
    return folder


def scores_of_a_scan(sidscan: Run) -> dict[str, str]:
    """By path."""
    sidscan("scan", "images", "--model", "mini", "--out", "plain.csv")
    return scores_in(Path("plain.csv"))


def scores_in(report: Path) -> dict[str, str]:
    with report.open(encoding="utf-8", newline="") as file:
        return {row["path"]: row["score"] for row in csv.DictReader(file)}


def entry_of(page: str, name: str) -> dict[str, Any]:
    """The entry of an image in the first chunk of a page."""
    match = re.search(r'id="chunk-0">(.*?)</script>', page)
    assert match is not None
    entries = {Path(entry["result"]["path"]).name: entry for entry in json.loads(match[1])}
    found: dict[str, Any] = entries[name]
    return found


def map_of(page: str, name: str) -> dict[str, Any] | None:
    """The map of an image."""
    return entry_of(page, name).get("map")


def test_the_text_has_the_score_of_a_scan_and_the_windows(sidscan: Run) -> None:
    ended = sidscan("inspect", "images/a.png", "images/plain.png", "--model", "mini")
    scores = scores_of_a_scan(sidscan)
    assert ended.code == 0
    name, score, grid, figures, plain, plain_score, _, flat, closing = ended.out.splitlines()
    assert (name, plain) == ("images/a.png", "images/plain.png")
    assert score.startswith(f"  mini: score {float(scores['images/a.png']):.3f}, ")
    assert score.endswith("; as a scan reports it, from 10 crops")
    assert grid == "    12 windows of 224 x 224 pixels, every 64 px across and 64 px down"
    assert re.fullmatch(
        r"    highest 0\.\d{3} at x \d+, y \d+; \d+ of 12 \(\d+\.\d %\) reach the threshold 0\.747", figures
    )
    assert "inconclusive (flat)" in plain_score
    assert flat == "    all windows are too flat to judge"
    assert closing == NOT_THE_IMAGE


def test_json_has_every_window(sidscan: Run) -> None:
    ended = sidscan("inspect", "images/b.jpg", "images/small.png", "-m", "mini", "--format", "json", "-q")
    document = json.loads(ended.out)
    scores = scores_of_a_scan(sidscan)
    assert (ended.code, ended.err, document["inspection"]) == (0, "", 1)
    assert document["run"]["models"][0]["name"] == "mini"
    large, small = document["images"]
    assert large["result"]["scores"][0]["score"] == pytest.approx(float(scores["images/b.jpg"]), abs=5e-7)
    (score_map,) = large["maps"]
    assert (score_map["lefts"], score_map["tops"]) == (
        [0, 64, 128, 192, 256, 320, 384, 448, 476],
        [0, 64, 128, 192, 256, 276],
    )
    assert [len(row) for row in score_map["scores"]] == [9] * 6
    assert all(0 <= score <= 1 for row in score_map["scores"] for score in row)
    assert (score_map["orientation"], score_map["width"], score_map["side"]) == (6, 700, 224)
    (padded,) = small["maps"]
    assert (padded["lefts"], padded["tops"]) == ([-62], [-72])
    # of a small image all ten crops show one window or its mirror image
    crops = small["result"]["scores"][0]["crop_scores"]
    assert padded["scores"][0][0] in crops


def test_windows_at_the_corners_score_as_the_crops_do(sidscan: Run) -> None:
    ended = sidscan("inspect", "images/b.jpg", "-m", "mini", "--format", "json", "--effort", "full", "-q")
    (image,) = json.loads(ended.out)["images"]
    rows, crops = image["maps"][0]["scores"], image["result"]["scores"][0]["crop_scores"]
    corners = [rows[0][0], rows[0][-1], rows[-1][0], rows[-1][-1]]
    assert corners == pytest.approx(crops[:4], abs=1e-4)


@pytest.mark.parametrize(("budget", "count"), [("1", "12"), ("54", "54"), ("20", "20")], ids=str)
def test_the_budget_sets_the_stride(sidscan: Run, budget: str, count: str) -> None:
    ended = sidscan("inspect", "images/b.jpg", "-m", "mini", "--windows", budget)
    assert f"    {count} windows of" in ended.out


def test_outputs_are_written_and_never_over_something_else(sidscan: Run) -> None:
    outs = [part for name in ("r.png", "r.html", "r.json") for part in ("--out", name)]
    ended = sidscan("inspect", "images/a.png", "-m", "mini", *outs)
    assert (ended.code, ended.err.splitlines()[-3:]) == (
        0,
        [f"written: r.{end}" for end in ("png", "html", "json")],
    )
    with Image.open("r.png") as drawing:
        drawing.load()
    page = Path("r.html").read_text(encoding="utf-8")
    score_map = map_of(page, "a.png")
    assert score_map is not None
    assert base64.b64decode(score_map["png"]) == Path("r.png").read_bytes()
    assert json.loads(Path("r.json").read_text(encoding="utf-8"))["images"][0]["maps"][0]["model"] == "mini"

    for out in ("r.png", "r.html", "r.json"):
        before = Path(out).read_bytes()
        again = sidscan("inspect", "images/small.png", "-m", "mini", "--out", out)
        assert (again.code, again.err.splitlines()) == (
            7,
            [
                f"sidscan: {out} is there already; it is left alone",
                "Choose another --out, or replace it with --overwrite.",
            ],
        )
        assert Path(out).read_bytes() == before
        assert sidscan("inspect", "images/small.png", "-m", "mini", "--out", out, "--overwrite").code == 0
        assert Path(out).read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["-"], "'-' is not an image\nName image files", id="standard input"),
        pytest.param(["images"], "images is a folder, and inspect reads single images", id="folder"),
        pytest.param(
            ["https://example.org/a.jpg"],
            "https://example.org/a.jpg is a URL, and inspect reads files only",
            id="URL",
        ),
        pytest.param(["images/a.png", "-o", "r.csv"], "unknown kind of output: r.csv", id="another kind"),
        pytest.param(
            ["images/a.png", "images/b.jpg", "-o", "r.png"],
            "r.png holds the map of one image, and 2 are named",
            id="two maps in one drawing",
        ),
        pytest.param(
            ["images/a.png", "-o", "images/a.png", "--overwrite"],
            "images/a.png is both read and written",
            id="over the image",
        ),
        pytest.param(["images/none.png"], "no such file or directory: images/none.png", id="missing"),
    ],
)
def test_what_can_not_be_inspected_is_refused(sidscan: Run, arguments: list[str], message: str) -> None:
    ended = sidscan("inspect", *arguments, "-m", "mini")
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_an_unreadable_image_is_named_and_the_others_are_inspected(sidscan: Run, images: Path) -> None:
    (images / "broken.jpg").write_bytes((images / "b.jpg").read_bytes()[:9000])
    ended = sidscan("inspect", "images/broken.jpg", "images/a.png", "-m", "mini", "-q", "--format", "json")
    assert ended.code == 3
    assert ended.err.startswith("no score: images/broken.jpg: ")
    broken, whole = json.loads(ended.out)["images"]
    assert (broken["result"]["status"], broken["maps"]) == ("truncated", [])
    assert len(whole["maps"]) == 1
    ended = sidscan("inspect", "images/broken.jpg", "-m", "mini", "-o", "r.png")
    assert (ended.code, Path("r.png").exists()) == (7, False)
    assert "r.png was not written: there is no map" in ended.err


def test_what_is_no_image_has_a_code_of_its_own(sidscan: Run, images: Path) -> None:
    (images / "notes.txt").write_text("no image", encoding="ascii")
    ended = sidscan("inspect", "images/notes.txt", "-m", "mini")
    assert ended.code in (3, 5)
    assert "notes.txt" in ended.err


def test_what_shows_the_image_can_be_left_out(sidscan: Run) -> None:
    """With --private the image stays, as thumbnails do; --no-image takes both away."""
    for options, grey in (["--private"], True), (["--no-image"], False):
        ended = sidscan("inspect", "images/a.png", "-m", "mini", *options, "-o", "r.html", "--overwrite")
        assert ended.code == 0
        page = Path("r.html").read_text(encoding="utf-8")
        score_map = map_of(page, "a.png")
        assert score_map is not None
        with Image.open(io.BytesIO(base64.b64decode(score_map["png"]))) as drawing:
            colours = {rgb for _, rgb in drawing.convert("RGB").getcolors(1 << 24) or []}
        greys = [rgb for rgb in colours if len(set(rgb)) == 1]
        assert (len(greys) > 100) == grey
        assert ("thumbnail" in entry_of(page, "a.png")) == grey


def test_a_scan_looks_closer_at_the_strongest_and_rows_stay(sidscan: Run, images: Path) -> None:
    (images / "same-as-b.jpg").write_bytes((images / "b.jpg").read_bytes())
    scores = scores_of_a_scan(sidscan)
    ended = sidscan(
        "scan", "images", "-m", "mini", "--look-closer", "2", "--windows", "30", "-o", "r.html", "-o", "r.csv"
    )
    assert ended.code == 0
    assert scores_in(Path("r.csv")) == scores
    page = Path("r.html").read_text(encoding="utf-8")
    names = [path.name for path in images.iterdir()]
    looked_at = [name for name in names if map_of(page, name)]
    shown = [line for line in ended.err.splitlines() if "; " in line and "reach the threshold" in line]
    assert len(shown) == 2, "equal bytes count once"
    assert len({(images / name).read_bytes() for name in looked_at}) == 2
    assert "looked closer at 2 images, at all windows of each:" in ended.err
    assert f"  ({NOT_THE_IMAGE})" in ended.err
    assert "  (the maps are on the evidence pages of r.html)" in ended.err


def test_maps_are_kept_in_the_record(sidscan: Run) -> None:
    scan = ["scan", "images", "-m", "mini", "-o", "r.csv"]
    ended = sidscan(*scan, "--look-closer", "1")
    assert "  (the maps are kept in r.csv.journal; `sidscan report` shows them in FILE.html)" in ended.err
    strongest = re.search(r"  0\.\d+  images/(\S+): highest", ended.err)
    assert strongest is not None
    assert sidscan(*scan, "--out", "r.html").code == 0  # without --look-closer
    kept = map_of(Path("r.html").read_text(encoding="utf-8"), strongest[1])
    assert kept is not None
    assert kept["figures"][0]["made_by"].startswith("onnxruntime ")

    # Without small images, a kept map that shows the image is words alone; a new one is cells alone.
    assert sidscan(*scan, "--out", "r.html", "--html-thumbs", "none").code == 0
    words = map_of(Path("r.html").read_text(encoding="utf-8"), strongest[1])
    assert words == {**kept, "png": None}
    ended = sidscan(*scan, "--out", "r.html", "--html-thumbs", "none", "--look-closer", "1")
    assert "  (the maps are on the evidence pages of r.html)" in ended.err
    cells = map_of(Path("r.html").read_text(encoding="utf-8"), strongest[1])
    assert cells is not None
    assert (cells["figures"], len(cells["png"]) < len(kept["png"])) == (kept["figures"], True)


def test_graphs_and_checkpoints_of_other_kinds_give_the_same_maps(
    sidscan: Run, graphs: ExportedGraphs
) -> None:
    """Two heads, RINE's and a linear probe, by PyTorch and as one exported graph."""
    names = [part for model in graphs.models for part in ("--model", model)]
    by_torch, by_graph = (
        json.loads(sidscan("inspect", "images/b.jpg", *options, "--format", "json", "-q", "-o", out).out)
        for out, options in (
            ("torch.png", (*names, "--encoder", graphs.encoder)),
            ("onnx.png", ("--model", graphs.fp32)),
        )
    )
    maps, of_graph = by_torch["images"][0]["maps"], by_graph["images"][0]["maps"]
    assert len(maps) == len(of_graph) == 2
    for one, other in zip(maps, of_graph, strict=True):
        assert np.abs(np.subtract(one["scores"], other["scores"])).max() <= 1e-4
        assert one["made_by"].startswith("pytorch ")
        assert other["made_by"].startswith("onnxruntime ")
    with Image.open("torch.png") as two, Image.open("onnx.png") as same:
        assert two.size == same.size


def test_a_url_is_fetched_again_unless_its_bytes_were_kept(sidscan: Run, images: Path) -> None:
    good, other = (answer((images / name).read_bytes()) for name in ("a.png", "b.jpg"))
    scan = ["scan", "--allow-private", "-m", "mini", "--look-closer", "1", "--overwrite", "--fresh"]
    server = Server()
    try:
        for answers, options, requests, message in (
            ([good], [], 2, ""),
            ([good, other], [], 2, "its server sends other bytes than the scan scored"),
            ([good, other], ["--save-dir", "saved"], 1, ""),
        ):
            server.asked.clear()
            server.answers["/a.png"] = answers
            url = f"{server.url}/a.png"
            ended = sidscan(*scan, url, *options, "-o", "r.csv", "-q")
            assert len(server.asked) == requests
            assert ended.err == (f"no closer look at {url}: {message}\n" if message else "")
    finally:
        server.close()


def test_a_calibrated_threshold_is_that_of_the_map(sidscan: Run, images: Path) -> None:
    for seed in range(60):
        (images / f"c{seed}.png").write_bytes(encoded(photo(230, 230, seed + 9), "PNG"))
    calibrated = sidscan("calibrate", "images", "-m", "mini", "--fpr", "0.2", "--out", "c.json")
    assert calibrated.code == 0, calibrated.err
    options = ["-m", "mini", "--calibration", "c.json", "--format", "json", "-q"]
    (image,) = json.loads(sidscan("inspect", "images/a.png", *options).out)["images"]
    assert image["maps"][0]["threshold"] == image["result"]["scores"][0]["threshold"] != 0.747
