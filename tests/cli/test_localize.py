"""``sidscan localize``, with a localizer that says what the red channel says."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from red_localizer import RedLocalizer
from sample_images import encoded, exif_block

from sidscan.cli import localizing

Run = Callable[..., Any]
BOX = (200, 60, 330, 190)


def image_with_region(
    box: tuple[int, int, int, int] = BOX, size: tuple[int, int] = (480, 320)
) -> Image.Image:
    """A noisy green image with a red region; right and bottom lie outside of it."""
    noise = np.random.default_rng(4).integers(60, 180, (size[1], size[0], 3), np.uint8)
    noise[..., 0] = 0
    image = Image.fromarray(noise)
    image.paste((255, 80, 80), box)
    return image


@pytest.fixture
def red(monkeypatch: pytest.MonkeyPatch) -> RedLocalizer:
    localizer = RedLocalizer()
    monkeypatch.setattr(localizing, "open_named", lambda *_: localizer)
    return localizer


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "region.png").write_bytes(encoded(image_with_region(), "PNG"))
    (folder / "nothing.png").write_bytes(encoded(image_with_region((0, 0, 0, 0)), "PNG"))
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def rows_of(text: str) -> dict[str, dict[str, str]]:
    return {Path(row["path"]).name: row for row in csv.DictReader(io.StringIO(text))}


def files_of(image: Path, folder: str = "r_maps") -> dict[str, Path]:
    name = sha256(image.read_bytes()).hexdigest()
    return {kind: Path(folder) / f"{name}.{kind}.png" for kind in ("map", "mask", "overlay")}


def test_each_input_has_one_row_and_each_image_three_files(
    sidscan: Run, images: Path, red: RedLocalizer
) -> None:
    ended = sidscan("localize", "images", "--detector", "mini")
    rows = rows_of(ended.out)
    assert ended.code == 3  # one is unreadable
    assert set(rows) == {"region.png", "nothing.png", "broken.jpg"}
    assert (rows["broken.jpg"]["status"], rows["broken.jpg"]["map_model"]) == ("failed", "")
    region, nothing = rows["region.png"], rows["nothing.png"]
    assert (region["status"], region["map_finding"]) == ("scored", "region to look at")
    assert (region["map_model"], region["map_digest"]) == ("red", "ab" * 8)
    assert (region["map_protocol"], region["map_scale"], region["map_threshold"]) == ("tiles", "1", "0.5")
    assert region["map_region"] == " ".join(map(str, BOX))
    assert float(region["map_area"]) == pytest.approx(130 * 130 / (480 * 320), abs=1e-6)
    assert float(region["map_maximum"]) == 1
    assert 0.8 < float(region["map_agreement"]) < 1
    assert (nothing["map_finding"], nothing["map_region"]) == ("no region to look at", "")
    assert (nothing["map_area"], nothing["map_agreement"]) == ("0.0", "")
    assert (
        "3 inputs = 2 scored + 1 failed + 0 skipped\n  no score: images/broken.jpg: not an image" in ended.err
    )
    assert "a region to look at in 1, none in 1" in ended.err
    assert localizing.MEANING in ended.err
    for image in ("region.png", "nothing.png"):
        assert all(path.is_file() for path in files_of(images / image, "maps").values())
    assert len(list(Path("maps").iterdir())) == 6


def test_maps_have_the_size_and_values_of_the_stored_image(
    sidscan: Run, images: Path, red: RedLocalizer
) -> None:
    (images / "turned.jpg").write_bytes(
        encoded(image_with_region(), "JPEG", quality=100, subsampling=0, exif=exif_block())
    )
    sidscan("localize", "images/turned.jpg", "--detector", "mini", "--out", "r.json")
    files = files_of(images / "turned.jpg")
    grey, mask = np.asarray(Image.open(files["map"])), np.asarray(Image.open(files["mask"]))
    assert grey.shape == mask.shape == (320, 480)  # as stored, not as shown
    expected = np.zeros((320, 480), bool)
    expected[60:190, 200:330] = True
    np.testing.assert_array_equal(mask == 255, expected)
    assert set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(grey > 127, expected)
    with Image.open(files["overlay"]) as overlay:
        assert overlay.width >= 480
        assert overlay.height > 320  # the scale stands below
    (finding,) = json.loads(Path("r.json").read_text())["findings"]
    made = finding["localization"]
    assert (made["region"], made["orientation"]) == (list(BOX), 6)


def test_a_second_run_reads_no_tile(sidscan: Run, images: Path, red: RedLocalizer) -> None:
    command = ("localize", "images/region.png", "--detector", "mini", "--out", "r.csv")
    assert sidscan(*command).code == 0
    first, red.tiles_read = red.tiles_read, 0
    report = Path("r.csv").read_bytes()
    assert first > 0
    assert sidscan(*command).code == 0
    assert red.tiles_read == 0
    assert Path("r.csv").read_bytes() == report
    for name in ("r.csv", "r.csv.journal"):
        assert "\n% red: not in the catalog; " in sidscan("cite", name).out, "what made the maps, too"


@pytest.mark.parametrize(
    "changed",
    [("--protocol", "global"), ("--max-tiles", "4"), ("--out-dir", "other")],
    ids=["protocol", "tiles", "folder"],
)
def test_another_request_makes_maps_again(sidscan: Run, red: RedLocalizer, changed: tuple[str, ...]) -> None:
    command = ("localize", "images/region.png", "--detector", "mini", "--out", "r.csv")
    sidscan(*command)
    red.tiles_read = 0
    assert sidscan(*command, *changed).code == 0
    assert red.tiles_read > 0


def test_a_file_that_somebody_changed_is_left_alone(sidscan: Run, images: Path, red: RedLocalizer) -> None:
    command = ("localize", "images/region.png", "--detector", "mini", "--out", "r.csv")
    mine = files_of(images / "region.png")["overlay"]
    mine.parent.mkdir()
    mine.write_bytes(b"somebody's work")
    ended = sidscan(*command)
    assert ended.code == 7
    assert "is there, and this run did not write it as it is; it is left alone" in ended.err
    assert mine.read_bytes() == b"somebody's work"
    assert red.tiles_read == 0
    assert sidscan(*command, "--overwrite").code == 0
    assert mine.read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_can_not_be_written_is_refused_before_the_scan(
    sidscan: Run, images: Path, red: RedLocalizer
) -> None:
    ended = sidscan(
        "localize", "images", "--detector", "mini", "--out", "r.csv", "--out-dir", "images/region.png/maps"
    )
    assert ended.code == 7
    assert "can't write files in the folder images/region.png/maps\nChoose another --out-dir." in ended.err
    assert not Path("r.csv.journal").exists()


def test_an_interrupted_scan_says_what_is_kept(
    sidscan: Run, red: RedLocalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sidscan.pipeline import Scan

    ends = Scan.__iter__

    def interrupted(self: Scan) -> Any:
        yield next(iter(ends(self)))
        raise KeyboardInterrupt

    monkeypatch.setattr(Scan, "__iter__", interrupted)
    ended = sidscan("localize", "images", "--detector", "mini", "--out", "r.csv")
    assert ended.code == 130
    assert "of 3 inputs; results are kept in r.csv.journal, and the same command continues" in ended.err


def test_an_interrupted_run_goes_on_with_the_next_image(
    sidscan: Run, red: RedLocalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("localize", "images/region.png", "images/nothing.png", "--detector", "mini", "--out", "r.csv")
    maps, of_one = RedLocalizer.maps, 28 + 1  # tiles, and the whole

    def interrupted(self: RedLocalizer, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.tiles_read >= of_one:
            raise KeyboardInterrupt
        return maps(self, tiles)

    with monkeypatch.context() as patched:
        patched.setattr(RedLocalizer, "maps", interrupted)
        ended = sidscan(*command)
    assert ended.code == 130
    assert "interrupted; maps are kept in r.csv.journal, and the same command continues" in ended.err
    red.tiles_read = 0
    assert sidscan(*command).code == 0
    assert red.tiles_read == of_one


def test_names_of_strangers_are_shown_as_text(sidscan: Run, red: RedLocalizer) -> None:
    red.info.name = "</script><b>\u202e\udc80\0"
    ended = sidscan(
        "localize", "images/region.png", "--detector", "mini", "--out", "r.html", "--out", "r.csv"
    )
    assert ended.code == 0
    page = Path("r.html").read_text(encoding="utf-8")
    assert "</script><b>" not in page
    assert "\u202e" not in page
    assert "not in the catalog; " in sidscan("cite", "r.html").out.partition("@")[0], "the localizer"


def test_another_run_may_meet_its_own_maps(sidscan: Run, red: RedLocalizer) -> None:
    """The same bytes are no conflict; a map by another protocol is."""
    command = ("localize", "images/region.png", "--detector", "mini", "--out-dir", "maps")
    assert sidscan(*command, "--out", "a.csv").code == 0
    assert sidscan(*command, "--out", "b.csv").code == 0
    ended = sidscan(*command, "--out", "c.csv", "--protocol", "global")
    assert ended.code == 7
    assert "this run did not write it as it is; it is left alone" in ended.err


def test_a_record_gets_maps_of_its_strongest(sidscan: Run, red: RedLocalizer) -> None:
    sidscan("scan", "images", "--model", "mini", "--out", "report.csv")
    before = rows_of(Path("report.csv").read_text(encoding="utf-8"))
    ended = sidscan("localize", "report.csv", "--top", "1", "--out", "page.html", "--out", "maps.csv")
    assert ended.code == 3  # as its scan ended
    rows = rows_of(Path("maps.csv").read_text(encoding="utf-8"))
    assert set(rows) == set(before)
    assert sum(bool(row["map_model"]) for row in rows.values()) == 1
    assert {name: row["score"] for name, row in rows.items()} == {
        name: row["score"] for name, row in before.items()
    }
    page = Path("page.html").read_text(encoding="utf-8")
    assert '"regions": {"finding": "region to look at", "figures": "11 % above 0.5' in page
    again = sidscan(
        "report", "report.csv", "--out", "again.html", "--columns", "path,map_area", "--out", "again.csv"
    )
    assert again.code == 0
    assert '"regions": {"finding": ' in Path("again.html").read_text(encoding="utf-8")
    assert Path("again.csv").read_text(encoding="utf-8").startswith("path,map_area")


def test_marked_images_alone(sidscan: Run, red: RedLocalizer) -> None:
    sidscan("scan", "images", "--model", "mini", "--out", "report.csv")
    name = sha256(Path("images/region.png").read_bytes()).hexdigest()
    row = f"{name},images/region.png,suspicious,,Anna,2026-01-01T10:00:00Z,0123456789abcdef"
    Path("marks.csv").write_text(f"sha256,path,mark,note,mark_by,mark_at,report_id\n{row}\n")
    assert sidscan("marks", "import", "marks.csv", "report.csv").code == 0
    rows = rows_of(sidscan("localize", "report.csv", "--marked", "suspicious", "--format", "csv").out)
    assert [name for name, row in rows.items() if row["map_model"]] == ["region.png"]


def write_data_set(folder: Path) -> None:
    """A manifest of two sets and two parts; it names a member of an archive, and a mask that is not there."""
    with ZipFile(folder / "more.zip", "w") as archive:
        archive.write(folder / "images/nothing.png", "nothing.png")
    rows = (
        "path,label,split,set,generator,mask",
        "images/region.png,synthetic,test,web,SD,no-such-mask.png",
        "more.zip!/nothing.png,real,test,,,",
        "images/nothing.png,synthetic,test,art,SD,",
        "images/broken.jpg,synthetic,train,web,SD,",
    )
    (folder / "data.csv").write_text("\n".join(rows), encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        pytest.param((), ["images/region.png", "more.zip!/nothing.png", "images/nothing.png"], id="test"),
        pytest.param(("--sets", "web"), ["images/region.png", "more.zip!/nothing.png"], id="set"),
        pytest.param(("--sets", "web", "--part", "train"), ["images/broken.jpg"], id="part"),
    ],
)
def test_the_images_of_a_manifest_get_maps(
    sidscan: Run, tmp_path: Path, red: RedLocalizer, options: tuple[str, ...], names: list[str]
) -> None:
    write_data_set(tmp_path)
    ended = sidscan("localize", "--manifest", "data.csv", *options, "--detector", "mini")
    assert ended.err.startswith(f"data: {len(names)} image{'s'[: len(names) > 1]} of data.csv\n")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert [row["path"] for row in rows] == names
    assert {bool(row["map_finding"]) for row in rows} == {"train" not in options}


def test_a_layout_may_say_which_images_get_maps(sidscan: Run, images: Path, red: RedLocalizer) -> None:
    for name, source in (("0_real", "nothing.png"), ("1_fake", "region.png")):
        (images / name).mkdir()
        (images / source).rename(images / name / source)
    ended = sidscan("localize", "images", "--layout", "chameleon", "--detector", "mini")
    assert ended.code == 0, ended.err
    assert set(rows_of(ended.out)) == {"nothing.png", "region.png"}  # without the broken file beside them


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("images", "--sets", "web"), "--sets has no effect without --manifest", id="sets"),
        pytest.param(("images", "--part", "train"), "--part has no effect without --manifest", id="part"),
        pytest.param(("images", "--manifest", "data.csv"), "--manifest can't be combined with", id="folder"),
        pytest.param(
            ("--list", "data.csv", "--manifest", "data.csv"), "named beside other inputs", id="list"
        ),
        pytest.param(("--manifest", "data.csv", "--out", "data.csv"), "both read and written", id="out"),
        pytest.param(
            ("--manifest", "data.csv", "--part", "valid"), "no image for the part valid", id="valid"
        ),
    ],
)
def test_what_does_not_fit_a_data_set_is_refused(
    sidscan: Run, tmp_path: Path, red: RedLocalizer, arguments: tuple[str, ...], message: str
) -> None:
    write_data_set(tmp_path)
    listed = (tmp_path / "data.csv").read_bytes()
    ended = sidscan("localize", *arguments, "--overwrite")
    assert (ended.code, message in ended.err) == (2, True), ended.err
    assert (tmp_path / "data.csv").read_bytes() == listed


def test_a_report_from_another_folder_says_where_its_paths_start(
    sidscan: Run, red: RedLocalizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidscan("scan", "images", "--model", "mini", "--out", "report.csv")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ended = sidscan("localize", "../report.csv", "--top", "1", "--format", "csv")
    assert ended.code == 3
    assert "No such file or directory\nrelative paths start from the folder where the scan ran: " in ended.err


def test_a_report_beside_other_inputs_is_refused(sidscan: Run, red: RedLocalizer) -> None:
    sidscan("scan", "images", "--model", "mini", "--out", "report.csv")
    ended = sidscan("localize", "report.csv", "images")
    assert ended.code == 2
    assert "report.csv is a report or a record, and other inputs are named beside it" in ended.err


@pytest.mark.parametrize(
    "option", [("--detector", "mini"), ("--fresh",), ("--hidden",), ("--journal", "j")], ids=lambda o: o[0]
)
def test_an_option_that_a_report_can_not_obey_is_refused(
    sidscan: Run, red: RedLocalizer, option: tuple[str, ...]
) -> None:
    sidscan("scan", "images", "--model", "mini", "--out", "report.csv")
    ended = sidscan("localize", "report.csv", *option, "--out", "new.csv")
    assert ended.code == 2
    assert f"report.csv has scores already, so {option[0]} would have no effect" in ended.err
    assert (red.tiles_read, Path("new.csv").exists()) == (0, False)


def test_a_report_can_get_a_private_one_beside_it(sidscan: Run, images: Path, red: RedLocalizer) -> None:
    (images / "named.jpg").write_bytes(encoded(image_with_region(), "JPEG", exif=exif_block()))
    sidscan("scan", "images/named.jpg", "--model", "mini", "--out", "report.json")
    ended = sidscan("localize", "report.json", "--private", "--out", "public.json")
    assert ended.code == 0
    assert "private: host, folder, command line" in ended.err
    public, full = (json.loads(Path(name).read_text()) for name in ("public.json", "report.json"))
    assert (full["run"]["private"], public["run"]["private"]) == (False, True)
    assert full["run"]["sessions"][0]["command"]
    assert not public["run"]["sessions"][0]["command"]
    assert public["findings"][0]["localization"]["region"] == list(BOX)


def test_a_map_of_another_localizer_is_refused_before_the_work(sidscan: Run, red: RedLocalizer) -> None:
    command = ("localize", "images", "--detector", "mini", "--out-dir", "maps")
    sidscan(*command, "--out", "a.csv")
    red.info.digest, red.tiles_read = "cd" * 8, 0
    ended = sidscan(*command, "--out", "b.csv")
    assert ended.code == 7
    assert "it is left alone" in ended.err
    assert red.tiles_read == 0


def test_lines_have_the_score_of_the_whole_image(sidscan: Run, red: RedLocalizer) -> None:
    ended = sidscan("localize", "images/region.png", "--detector", "mini")
    row = rows_of(ended.out)["region.png"]
    assert f"; whole image: score {float(row['score']):.3f}, {row['evidence']}\n" in ended.err


def test_a_comparison_that_is_missing_is_made(sidscan: Run, red: RedLocalizer) -> None:
    """``global`` reads one square; ``auto`` takes it for this image as well, and compares."""
    red.info.tile.read = 64  # so that the protocol of small images is global
    command = ("localize", "images/region.png", "--detector", "mini", "--out", "r.csv")
    agreements = []
    for protocol in ("global", "auto", "auto"):
        red.tiles_read = 0
        sidscan(*command, "--protocol", protocol)
        row = rows_of(Path("r.csv").read_text())["region.png"]
        agreements.append((row["map_protocol"], bool(row["map_agreement"]), red.tiles_read > 0))
    assert agreements == [("global", False, True), ("global", True, True), ("global", True, False)]


def test_below_the_alarm_area_a_region_is_one_as_photographs_may_have(
    sidscan: Run, red: RedLocalizer
) -> None:
    red.info.alarm_area = 0.2
    ended = sidscan("localize", "images/region.png", "images/nothing.png", "--detector", "mini")
    rows = rows_of(ended.out)
    region, nothing = rows["region.png"], rows["nothing.png"]
    assert region["map_finding"] == "region, as whole photographs may have"
    assert (region["map_region"], region["map_alarm_area"]) == (" ".join(map(str, BOX)), "0.2")
    assert nothing["map_finding"] == "no region to look at"
    assert (
        "maps of 2 images: a region to look at in 0, one as whole photographs may have in 1, none in 1\n"
        in ended.err
    )
    assert "region.png: region, as whole photographs may have: 11 % above 0.5" in ended.err


@pytest.mark.parametrize(
    ("alarm", "finding"),
    [(8.0, "region to look at"), (9.0, "region, as whole photographs may have")],
    ids=["exceeded", "not exceeded"],
)
def test_where_contrasts_of_photographs_are_known_the_finding_goes_by_them(
    sidscan: Run, red: RedLocalizer, alarm: float, finding: str
) -> None:
    red.info.alarm_area, red.info.alarm_contrast = 0.2, alarm  # of the area 11 % are above
    ended = sidscan("localize", "images/region.png", "images/nothing.png", "--detector", "mini")
    rows = rows_of(ended.out)
    region, nothing = rows["region.png"], rows["nothing.png"]
    assert (region["map_finding"], region["map_alarm_contrast"]) == (finding, str(alarm))
    assert 8 < float(region["map_contrast"]) < 9
    assert (nothing["map_finding"], nothing["map_contrast"]) == ("no region to look at", "0.0")
    says = f"{finding}: 11 % above 0.5, contrast {float(region['map_contrast']):.2f} "
    assert f"{says}(1 % of whole photographs have more than {alarm:.2f}), largest at" in ended.err
    command = ("localize", "images/region.png", "--detector", "mini", "--protocol", "global", "--overwrite")
    squashed = rows_of(sidscan(*command).out)[
        "region.png"
    ]  # nobody measured contrasts of these: the area counts
    assert squashed["map_finding"] == "region, as whole photographs may have"
    assert squashed["map_contrast"] == ""


def test_a_map_that_is_not_finite_is_a_failure_of_its_image(
    sidscan: Run, red: RedLocalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        RedLocalizer, "maps", lambda self, tiles: np.full((len(tiles), 128, 128), np.nan, np.float32)
    )
    ended = sidscan("localize", "images/region.png", "--detector", "mini")
    assert ended.code == 3
    row = rows_of(ended.out)["region.png"]
    assert (row["status"], row["map_finding"]) == ("scored", "")
    assert row["map_message"] == "the model gave a value that is not a finite number; no map is shown"


def short_of_memory(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """A localizer for which memory holds so many tiles at once."""
    maps = RedLocalizer.maps

    def with_limit(self: RedLocalizer, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(tiles) > most:
            raise MemoryError
        return maps(self, tiles)

    monkeypatch.setattr(RedLocalizer, "maps", with_limit)


def test_short_memory_takes_fewer_tiles_at_once(
    sidscan: Run, red: RedLocalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rows_of(sidscan("localize", "images/region.png", "--detector", "mini").out)
    short_of_memory(monkeypatch, 1)
    ended = sidscan("localize", "images/region.png", "--detector", "mini", "--out-dir", "b")
    assert ended.code == 0
    assert "memory is short: 1 tile at once from now on\n" in ended.err
    changing = ("scanned_at",)
    row, before = rows_of(ended.out)["region.png"], expected["region.png"]
    assert {**row, **dict.fromkeys(changing)} == {**before, **dict.fromkeys(changing)}


def test_memory_that_holds_no_tile_is_a_failure_of_its_image(
    sidscan: Run, images: Path, red: RedLocalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of_memory(monkeypatch, 0)
    command = ("localize", "images/region.png", "--detector", "mini", "--out", "r.csv")
    ended = sidscan(*command)
    assert ended.code == 3
    said = "making its map takes more memory than there is; close other programs, or lower --max-tiles"
    assert f"no map of images/region.png: {said}" in ended.err
    assert rows_of(Path("r.csv").read_text())["region.png"]["map_message"].startswith(said)
    monkeypatch.undo()
    monkeypatch.setattr(localizing, "open_named", lambda *_: red)
    monkeypatch.chdir(images.parent)
    assert sidscan(*command).code == 0  # the next run tries again


@pytest.mark.parametrize("stage", ["read_again", "make_map", "page_drawings"])
def test_memory_that_is_short_anywhere_costs_one_map(
    sidscan: Run, red: RedLocalizer, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    from sidscan.localize import run

    original, calls = getattr(run, stage), list[int]()

    def once(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return original(*args, **options)

    monkeypatch.setattr(run, stage, once)
    ended = sidscan("localize", "images/nothing.png", "images/region.png", "--detector", "mini")
    failed, made = sorted(rows_of(ended.out).values(), key=lambda row: row["map_finding"])
    assert ended.code == 3
    assert "more memory than there is" in failed["map_message"]
    assert (failed["map_finding"], made["map_message"]) == ("", "")


@pytest.mark.parametrize(
    ("size", "flags", "words"),
    [
        ((60, 40), "smaller_than_tile", "smaller than a tile and enlarged, which nobody measured"),
        ((400, 40), "narrower_than_tile", "narrower than a tile and squashed, which nobody measured"),
        (
            (1280, 130),
            "more_than_max_tiles",
            "long and narrow, so it took more than --max-tiles",
        ),
    ],
    ids=["smaller than a tile", "narrower than a tile", "more than --max-tiles"],
)
def test_rows_and_words_say_how_an_image_was_read(
    sidscan: Run, images: Path, red: RedLocalizer, size: tuple[int, int], flags: str, words: str
) -> None:
    (images / "odd.png").write_bytes(encoded(image_with_region((10, 10, 30, 30), size), "PNG"))
    ended = sidscan("localize", "images/odd.png", "--detector", "mini", "--max-tiles", "8")
    assert rows_of(ended.out)["odd.png"]["map_flags"] == flags
    assert words in ended.err


def test_an_alarm_area_of_tiles_is_not_stated_of_the_whole(
    sidscan: Run, images: Path, red: RedLocalizer
) -> None:
    red.info.alarm_area = 0.2
    command = ("localize", "images/region.png", "--detector", "mini", "--overwrite", "--protocol")
    assert "(1 % of whole photographs have more than 20 %)" in sidscan(*command, "tiles").err
    assert (
        "(read so, nobody measured how much of whole photographs it marks)" in sidscan(*command, "global").err
    )


def test_inspect_shows_the_map_on_its_page(sidscan: Run, red: RedLocalizer) -> None:
    ended = sidscan(
        *("inspect", "images/region.png", "--model", "mini", "--localize"),
        *("--out", "r.html", "--out", "r.json"),
    )
    assert ended.code == 0
    assert (
        "  images/region.png: region to look at: 11 % above 0.5, largest at x 200-330, y 60-190" in ended.out
    )
    page = Path("r.html").read_text(encoding="utf-8")
    assert '"regions": {"finding": "region to look at", "figures": "11 % above 0.5' in page
    (image,) = json.loads(Path("r.json").read_text(encoding="utf-8"))["images"]
    assert image["result"]["localization"]["region"] == list(BOX)


def test_a_later_scan_does_not_take_maps_for_images(sidscan: Run, red: RedLocalizer) -> None:
    sidscan("localize", "images", "--detector", "mini", "--out", "images/r.html")
    sidscan("inspect", "images/region.png", "--model", "mini", "--out", "images/region-map.png")
    ended = sidscan("scan", ".", "--model", "mini", "--out", "later.csv")
    rows = rows_of(Path("later.csv").read_text(encoding="utf-8"))
    assert {name for name, row in rows.items() if row["status"] == "scored"} == {"region.png", "nothing.png"}
    maps = [row for row in rows.values() if row["error_message"].startswith("a map of another image")]
    assert (len(maps), {row["status"] for row in maps}) == (7, {"skipped"})
    assert "7 skipped: a map of another image, by its name and its own words" in ended.err


def test_very_large_images_are_read_one_by_one(
    sidscan: Run, images: Path, red: RedLocalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Any = importlib.import_module("sidscan.localize.run")
    held, most = list[str](), list[int]()
    read_again, page_drawings = run.read_again, run.page_drawings

    def reading(result: Any, read: Any) -> Any:
        held.append(result.name)
        most.append(len(held))
        return read_again(result, read)

    def drawing(*args: Any) -> Any:
        drawn = page_drawings(*args)
        held.pop()
        return drawn

    monkeypatch.setattr(run, "_LARGE", 0)
    monkeypatch.setattr(run, "read_again", reading)
    monkeypatch.setattr(run, "page_drawings", drawing)
    (images / "third.png").write_bytes(encoded(image_with_region((9, 9, 50, 50)), "PNG"))
    ended = sidscan("localize", "images", "--detector", "mini")
    assert "maps of 3 images" in ended.err
    assert most == [1, 1, 1]


def test_where_no_image_is_chosen_the_options_are_named(sidscan: Run, red: RedLocalizer) -> None:
    ended = sidscan(
        *("localize", "images/region.png", "--detector", "mini"),
        *("--min-evidence", "very strong", "--marked", "suspicious"),
    )
    chosen = "no map was made: no image was chosen by --min-evidence very strong, --marked suspicious\n"
    assert (ended.code, chosen in ended.err) == (0, True)
    assert not Path("maps").exists()


def test_no_image_is_an_error(sidscan: Run, red: RedLocalizer, tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("no image")
    assert sidscan("localize", "text", "--detector", "mini").code == 5
