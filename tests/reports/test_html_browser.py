"""The HTML report in a browser: offline, by keyboard, with marks. Needs playwright and Chromium."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from sample_results import FACTS, FAILED, SCORE, SCORED, full_header, journal_of, rendered

from sidscan.journal.keys import ReuseKeys
from sidscan.records import Copies, CopyAnswer, Exif, Marker, Provenance, ScanResult, Trace
from sidscan.records.localization import Localization
from sidscan.records.score_map import CloserLook, ScoreMap
from sidscan.reports import html, output_for, write_all
from sidscan.reports.provenance_words import verdict_text
from sidscan.review.annotated import AnnotatedRecord, annotated
from sidscan.review.conditions import parse_condition
from sidscan.review.marks import Marks
from sidscan.review.marks_file import EntryKind, MarkEntry
from sidscan.review.selection import Choice, SelectedRecord
from sidscan.review.wrapped import WrappedRecord

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.usefixtures("browser")

HOSTILE = "</script><img src=x onerror=alert(1)><b>\u202e.jpg"
Opener = Callable[..., Any]


def scored(index: int, **changes: Any) -> ScanResult:
    """Number 0 has the highest score."""
    words = ("very strong", "strong", "moderate", "weak", "weak")
    score = replace(SCORE, logit=5.0 - index, score=0.99 - index / 100, evidence=words[min(index, 4)])
    facts = replace(FACTS, sha256=f"{index:064x}", exif=Exif(make="Acme", model=f"Cam {index % 2}"))
    return replace(SCORED, **{"name": f"in/{index:03d}.jpg", "facts": facts, "scores": (score,), **changes})


@pytest.fixture
def report(tmp_path: Path) -> Path:
    hostile = replace(FAILED, name=HOSTILE, message=HOSTILE)
    twin = scored(7, facts=replace(FACTS, sha256=f"{1:064x}", exif=Exif()))
    results = [hostile, *(scored(index) for index in range(6)), twin]
    rendered(tmp_path / "r.html", journal_of(*results, run=full_header()))
    return tmp_path / "r.html"


def shown_paths(page: Page) -> list[str]:
    return [text.strip() for text in page.locator("#rows .name").all_inner_texts() if text.strip()]


def words(page: Page) -> str:
    return page.locator("#line").inner_text()


def test_rows_are_the_record_strongest_first(open_page: Opener, report: Path) -> None:
    with open_page(report) as page:
        assert shown_paths(page) == [*(f"in/{index:03d}.jpg" for index in (0, 1, 2, 3, 4, 5, 7)), page_safe()]
        assert words(page) == "8 inputs"
        assert "8 inputs = 7 scored + 1 failed + 0 skipped" in page.locator("header").inner_text()


def page_safe() -> str:
    return HOSTILE.replace("\u202e", "\\u202e")


def test_filters_count_combine_and_stand_in_the_address(open_page: Opener, report: Path) -> None:
    with open_page(report) as page:
        page.get_by_label("weak").check()
        page.get_by_label("Acme Cam 1").check()
        assert shown_paths(page) == ["in/003.jpg", "in/005.jpg"]
        assert words(page).startswith("2 of 8 inputs")
        assert "6 hidden by: Evidence: weak; Camera: Acme Cam 1" in words(page)
        address = page.url
    with open_page(report, "#" + address.split("#")[1]) as page:
        assert shown_paths(page) == ["in/003.jpg", "in/005.jpg"]
        page.get_by_role("button", name="Clear all filters").click()
        assert words(page) == "8 inputs"


def address_of(report: Path, index: int) -> str:
    return f"{report.as_uri()}#image={index:064x}"


def test_an_address_leads_from_one_evidence_page_to_another(open_page: Opener, report: Path) -> None:
    with open_page(report) as page:
        title = page.locator("#detail .title")
        for index in (2, 4):
            page.evaluate("address => { location.href = address; }", address_of(report, index))
            title.get_by_text(f"in/00{index}.jpg").wait_for()
        assert page.url == address_of(report, 4)
        page.evaluate("address => { location.href = address; }", address_of(report, 99))
        page.get_by_text("The image that the address names is not in this report.").wait_for()
        page.keyboard.press("Enter")
        assert title.inner_text() == "in/004.jpg", "keys work in the list"


def test_back_of_the_browser_leads_from_an_evidence_page_to_the_list(open_page: Opener, report: Path) -> None:
    with open_page(report) as page:
        page.get_by_label("weak").check()
        listed = page.url
        for _ in range(2):
            page.keyboard.press("j")
            page.locator("#rows [data-place='1']").click()
            page.keyboard.press("j")
            assert page.locator("#detail .title").inner_text() == "in/005.jpg"
            page.go_back()
            assert page.locator("#detail").is_hidden()
            assert (page.url, words(page)[:6]) == (listed, "4 of 8")
            assert page.locator('[aria-selected="true"]').get_by_text("in/005.jpg").is_visible()
        before = page.evaluate("history.length")
        for _ in range(3):
            page.keyboard.press("Enter")
            page.keyboard.press("Escape")
            page.wait_for_url(listed)
        assert page.evaluate("history.length") == before, "no step for each image"


def test_search_and_sort(open_page: Opener, report: Path) -> None:
    with open_page(report) as page:
        page.get_by_label("Search path, camera, message").fill("CAM 004")
        assert shown_paths(page) == ["in/004.jpg"]
        page.get_by_label("Search path, camera, message").fill("cam")
        page.get_by_label("Sort by").select_option("path")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Table").click()
        page.get_by_role("button", name="Path").click()
        paths = page.locator("#rows .c-path").all_inner_texts()
        assert paths == [f"in/{index:03d}.jpg" for index in range(5, -1, -1)]
        header = page.get_by_role("columnheader", name="Path")
        assert header.get_attribute("aria-sort") == "descending"


def test_an_image_is_opened_marked_and_closed_by_keyboard(open_page: Opener, report: Path) -> None:
    with open_page(report) as page:
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        detail = page.locator("#detail")
        assert "in/001.jpg" in detail.inner_text()
        assert f"{1:064x}" in detail.inner_text()
        page.keyboard.press("1")
        assert "in/002.jpg" in detail.inner_text(), "a mark leads to the next image"
        page.keyboard.press("Escape")
        assert detail.is_hidden()
        assert "2 of 8 marked" in page.locator("#tools").inner_text(), "equal bytes share a mark"
        page.keyboard.press("u")
        assert "0 of 8 marked" in page.locator("#tools").inner_text()


def test_a_note_is_printed_and_shows_in_the_list(open_page: Opener, report: Path) -> None:
    with open_page(report) as page:
        page.keyboard.press("n")
        page.locator("#note").fill("ask the desk")
        page.locator("#note").blur()
        page.emulate_media(media="print")
        assert page.get_by_text("ask the desk", exact=True).last.is_visible()
        page.emulate_media(media="screen")
        page.keyboard.press("Escape")
        assert page.locator("#rows").get_by_text("note", exact=True).count() == 1
        page.get_by_label("with a note").check()
        assert shown_paths(page) == ["in/000.jpg"]


def test_only_what_is_in_sight_is_drawn(open_page: Opener, tmp_path: Path) -> None:
    rendered(tmp_path / "r.html", journal_of(*(scored(index) for index in range(1500))))
    with open_page(tmp_path / "r.html") as page:
        for view in ("Grid", "Table"):
            page.get_by_role("button", name=view).click()
            assert page.locator("#rows [data-place]").count() <= 60
            page.keyboard.press("Escape")
            page.locator("#list").focus()
            page.keyboard.press("G")
            assert "in/1499.jpg" in page.locator("#rows").inner_text()


@pytest.fixture
def with_thumbnails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(html, "INLINE_ROWS", 3)
    monkeypatch.setattr(html, "CHUNK_ROWS", 2)
    file = io.BytesIO()
    Image.new("RGB", (160, 100), "teal").save(file, "WEBP")
    results = [scored(index) for index in range(5)]
    journal = journal_of(*results)
    journal.append(
        results, ReuseKeys("score", "limits", "urls"), {f"{i:064x}": file.getvalue() for i in range(5)}
    )
    rendered(tmp_path / "r.html", journal)
    return tmp_path / "r.html"


def test_thumbnails_come_from_files_beside_the_page(open_page: Opener, with_thumbnails: Path) -> None:
    with open_page(with_thumbnails) as page:
        page.locator("#rows img").nth(4).wait_for()
        widths = page.locator("#rows img").evaluate_all("images => images.map(image => image.naturalWidth)")
        assert widths == [160] * 5
        page.keyboard.press("Enter")
        assert page.locator("#detail svg image").count() == 1


def test_a_second_image_stands_beside_the_image_at_its_trace(open_page: Opener, tmp_path: Path) -> None:
    trace = Trace("second_image", "the thumbnail shows something else", "thumbnail of EXIF", 68)
    results, small = [scored(index) for index in range(2)], []
    results = [replace(each, facts=replace(each.facts, traces=(trace, trace))) for each in results]
    for colour in ("teal", "orange"):
        file = io.BytesIO()
        Image.new("RGB", (160, 100), colour).save(file, "WEBP")
        small.append(file.getvalue())
    journal, first = journal_of(*results), f"{0:064x}"
    journal.append(
        results, ReuseKeys("score", "limits", "urls"), {first: small[0]}, second_images={first: small[1]}
    )
    rendered(tmp_path / "r.html", journal)
    with open_page(tmp_path / "r.html") as page:
        page.keyboard.press("Enter")
        shown = page.locator("#detail li img")
        assert [shown.nth(place).get_attribute("alt") for place in range(shown.count())] == [
            "The image itself",
            "The preview in the file, as it is stored: perhaps not upright",
        ], "once, though two traces are of that kind"
        assert shown.evaluate_all("images => images.map(image => image.naturalWidth)") == [160, 160]
        page.get_by_role("button", name="Next").click()
        assert page.get_by_text("preview shows another image").count() >= 1
        assert page.locator("#detail li img").count() == 0


def test_a_page_without_its_folder_says_so(browser: Browser, with_thumbnails: Path) -> None:
    shutil.rmtree(with_thumbnails.with_name("r_files"))
    context = browser.new_context(offline=True)
    page = context.new_page()  # Chromium logs the files that it misses
    page.goto(with_thumbnails.as_uri())
    page.get_by_text("is missing; keep the folder with the report").wait_for()
    context.close()


def test_it_prints_and_is_dark_where_asked(open_page: Opener, report: Path) -> None:
    with open_page(report, color_scheme="dark") as page:
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        page.keyboard.press("1")
        page.emulate_media(media="print")
        assert page.pdf()[:5] == b"%PDF-"
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.locator("#printed td").first.inner_text() == "suspicious"


def test_a_browser_without_scripts_shows_the_table(open_page: Opener, report: Path) -> None:
    with open_page(report, java_script_enabled=False) as page:
        assert page.locator("table.static tr").count() == 1 + 8


def test_thumbnails_of_the_page_are_webp_data(with_thumbnails: Path) -> None:
    chunk = next(with_thumbnails.with_name("r_files").iterdir()).read_text(encoding="utf-8")
    data = chunk.split('"thumbnail": "')[1].split('"')[0]
    assert base64.b64decode(data)[8:12] == b"WEBP"


VIEW_SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.25, 0.6, 0.45, 0.05, 0.55)


@pytest.fixture
def evidence_page(tmp_path: Path) -> Path:
    """Two images: one with everything that the evidence page shows, one that is inconclusive."""
    score = replace(SCORE, crop_scores=VIEW_SCORES, crop_max=0.6, highest_crop="top left, mirrored")
    facts = replace(FACTS, width=1000, height=800, exif=Exif(latitude=-33.5, longitude=151.2, orientation=6))
    flat = replace(SCORE, logit=9.0, evidence="inconclusive", inconclusive=("flat", "x<b>"), percentile=100.0)
    results = [
        scored(0, scores=(replace(score, evidence="strong"),), facts=facts),
        scored(1, scores=(flat,)),
    ]
    file = io.BytesIO()
    Image.new("RGB", (224, 224), "teal").save(file, "WEBP")
    journal = journal_of(*results, run=full_header())
    crops = {str(facts.sha256): ("top left, mirrored", file.getvalue())}
    journal.append(results[:1], ReuseKeys("score", "limits", "urls"), {}, crops)
    rendered(tmp_path / "r.html", journal)
    return tmp_path / "r.html"


def test_the_evidence_page_says_what_was_measured_where(open_page: Opener, evidence_page: Path) -> None:
    with open_page(evidence_page) as page:
        page.keyboard.press("Enter")
        detail = page.locator("#detail")
        assert detail.locator("h2").all_inner_texts()[1:] == ["1. The detector", "2. The file", "3. People"]
        places = detail.get_by_role("img", name="Where the detector looked")
        assert places.get_attribute("aria-label") == (
            "Where the detector looked: 0.600, 0.250, 0.300, 0.450, 0.550"  # of a crop or its mirror image
        )
        crop = detail.get_by_role("img", name="The crop with the highest score, at full size")
        assert (crop.bounding_box() or {})["width"] == 224
        assert crop.locator("image").get_attribute("transform") == "rotate(90)"
        words = detail.inner_text()
        assert "one pixel for one: top left, mirrored, 0.600" in words
        assert "about 39 of 100 score as high or higher" in words
        assert (
            "What it finds and misses: mini, in the test of its card: finds 55 of 100 synthetic images"
            in words
        )


def test_the_evidence_page_shows_the_place_and_copies_it(open_page: Opener, evidence_page: Path) -> None:
    with open_page(evidence_page) as page:
        page.keyboard.press("Enter")
        dot = page.get_by_role("img", name="Outline of the world with a dot at -33.5, 151.2").locator(
            "circle"
        )
        assert (dot.get_attribute("cx"), dot.get_attribute("cy")) == ("331.2", "123.5")
        page.locator(".place").get_by_role("button", name="Copy").click()
        page.locator("#note").focus()
        page.keyboard.press("Control+V")
        assert page.locator("#note").input_value() == "-33.5, 151.2"


def test_the_evidence_page_says_why_evidence_is_inconclusive_and_what_is_missing(
    open_page: Opener, evidence_page: Path
) -> None:
    with open_page(evidence_page) as page:
        page.keyboard.press("G")
        page.keyboard.press("Enter")
        words = page.locator("#detail").inner_text()
        assert "Inconclusive, so the score says little: hardly a pixel differs from its neighbours." in words
        assert "Inconclusive, so the score says little: x<b>" in words
        assert "none of the 4,552 scores as high" in words
        assert "an earlier scan, without an HTML report, made this result" in words
        assert page.locator(".place").count() == 0


def test_of_one_crop_no_spread_is_shown(open_page: Opener, tmp_path: Path) -> None:
    rendered(tmp_path / "r.html", journal_of(scored(0, views=1), run=full_header()))
    with open_page(tmp_path / "r.html") as page:
        words = page.locator("#detail").inner_text()
    assert "One crop of 224 x 224 pixels at its place" in words
    assert "Scores of single crops" not in words
    assert "Highest crop" not in words


WHOLE = replace(
    SCORE,
    model="n\u202epr",
    logit=9.0,
    evidence="strong",
    crop_scores=(0.485,),
    highest_crop=None,
    model_input="resized to 256 x 256 px (bilinear)",
)


@pytest.fixture
def several_models(tmp_path: Path) -> Path:
    """One image: of three models the strongest read the whole image, and two read crops."""
    mini = replace(SCORE, crop_scores=VIEW_SCORES, crop_max=0.6, highest_crop="top left, mirrored")
    weaker = replace(mini, model="other", logit=-1.0, evidence="weak")
    facts = replace(FACTS, width=1000, height=800)
    run = full_header()
    names = (WHOLE.model, "mini", "other")
    run = replace(run, models=tuple(replace(run.models[0], name=name) for name in names))
    results = [scored(0, scores=(WHOLE, mini, weaker), facts=facts), replace(FAILED, name="b.jpg")]
    rendered(tmp_path / "r.html", journal_of(*results, run=run))
    return tmp_path / "r.html"


def test_the_list_names_the_model_of_each_score(open_page: Opener, several_models: Path) -> None:
    with open_page(several_models) as page:
        assert page.locator(".cell .model").all_inner_texts() == ["n\\u202epr", ""]
        page.get_by_role("button", name="Table").click()
        assert page.locator("#rows .c-model").all_inner_texts() == ["n\\u202epr", ""]


def test_frames_are_of_a_model_that_reads_crops(open_page: Opener, several_models: Path) -> None:
    with open_page(several_models) as page:
        page.keyboard.press("Enter")
        detail = page.locator("#detail")
        headings = detail.locator("h3").all_inner_texts()
        assert headings[0] == "What the detectors measured: n\\u202epr, mini, other"
        assert "Where mini looked" in headings
        places = detail.get_by_role("img", name="Where mini looked: 0.600, 0.250, 0.300, 0.450, 0.550")
        assert places.locator("g g").count() == 5
        words = detail.inner_text()
        assert "n\\u202epr read: resized to 256 x 256 px (bilinear)" in words
        assert "The score of mini rests on nothing else of the image." in words


def test_of_a_model_that_reads_whole_images_no_crops_are_shown(open_page: Opener, tmp_path: Path) -> None:
    facts = replace(FACTS, width=1000, height=800)
    only = scored(0, scores=(replace(WHOLE, model="npr"),), views=1, facts=facts)
    rendered(tmp_path / "r.html", journal_of(only, run=full_header()))
    with open_page(tmp_path / "r.html") as page:
        detail = page.locator("#detail")
        assert (
            detail.get_by_role("img", name="Where the detector looked", exact=True).locator("rect").count()
            == 0
        )
        words = detail.inner_text()
        assert "npr read: resized to 256 x 256 px (bilinear)" in words
        for wrong in ("top left", "centre", "224 x 224", "at full size", "Together", "--fresh makes it"):
            assert wrong not in words.split("What the file says")[0]


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus; each element on the way must show that it has it."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            continue
        shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle !== 'none'")
        assert shown, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def test_a_person_without_a_mouse_reaches_everything(open_page: Opener, report: Path) -> None:
    with open_page(report) as page:
        tab_to(page, "header details details summary")
        page.keyboard.press("Enter")
        assert page.get_by_text("models chosen").is_visible()
        tab_to(page, '[data-filter="evidence weak"]')
        page.keyboard.press("Space")
        assert shown_paths(page) == ["in/003.jpg", "in/004.jpg", "in/005.jpg", "in/007.jpg"]
        tab_to(page, "#search")
        page.keyboard.type("cam 1")
        assert shown_paths(page) == ["in/003.jpg", "in/005.jpg"]
        page.keyboard.press("Escape")
        page.keyboard.press("v")
        page.keyboard.press("j")
        assert page.locator('[aria-selected="true"]').get_by_text("in/005.jpg").is_visible()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.innerText").startswith("in/005.jpg")
        page.keyboard.press("n")
        page.keyboard.type("ask the desk")
        page.keyboard.press("Escape")
        tab_to(page, ".marks button")
        page.keyboard.press("Enter")
        assert page.locator('.marks [aria-pressed="true"]').inner_text() == "suspicious"
        tab_to(page, ".everything summary")
        page.keyboard.press("Enter")
        assert '"path": "in/005.jpg"' in page.locator(".everything pre").inner_text()
        page.keyboard.press("Escape")
        assert "1 of 8 marked" in page.locator("#tools").inner_text()
        page.keyboard.press("?")
        assert page.get_by_role("dialog", name="Keys").is_visible()
        page.keyboard.press("Escape")
        assert page.get_by_role("dialog", name="Keys").is_hidden()
        tab_to(page, "#line button")
        page.keyboard.press("Enter")
        assert words(page) == "8 inputs"


def test_a_tile_with_a_mark_and_copies_shows_both(open_page: Opener, copies_page: Path) -> None:
    with open_page(copies_page) as page:
        tile = page.get_by_role("gridcell", name="in/001.jpg")
        before = tile.locator(".thumb").bounding_box()
        page.keyboard.press("j")
        page.keyboard.press("1")
        fits = "node => node.scrollWidth <= node.clientWidth && node.offsetHeight < 30"
        assert tile.locator(".facts").evaluate_all(f"all => all.every({fits})")
        assert tile.get_by_role("button", name="4 copies, 0.94 to 0.98").is_visible()
        assert tile.locator(".thumb").bounding_box() == before


def test_the_table_has_the_columns_that_the_report_fills(open_page: Opener, report: Path) -> None:
    def heads(page: Page) -> list[str]:
        return [each.strip() for each in page.get_by_role("columnheader").all_inner_texts()[1:]]

    with open_page(report, "#view=table") as page:
        assert heads(page) == ["Evidence \u25bc", "Score", "File says", "Path", "Camera", "Pixels", "Format"]
        page.keyboard.press("1")
        assert heads(page)[1:5] == ["Score", "File says", "Mark", "Path"]


def test_the_table_has_places(open_page: Opener, evidence_page: Path) -> None:
    with open_page(evidence_page, "#view=table") as page:
        place = page.locator("#rows .c-place").first
        assert (place.inner_text(), place.get_attribute("title")) == ("-33.50, 151.20", "-33.5, 151.2")


@pytest.mark.parametrize(("width", "height", "most"), [(400, 800, 320), (640, 400, 240)])
def test_a_small_window_shows_images_first(
    open_page: Opener, report: Path, width: int, height: int, most: int
) -> None:
    with open_page(report) as page:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function("!document.getElementById('head').open")
        assert page.evaluate("document.getElementById('list').getBoundingClientRect().top") < most
        page.get_by_text("More", exact=True).click()
        assert page.get_by_role("button", name="Export marks").is_visible()
        page.set_viewport_size({"width": 1200, "height": 800})
        page.get_by_text("8 inputs = 7 scored").wait_for()


@pytest.mark.parametrize("view", ["grid", "table"])
def test_at_200_percent_nothing_is_cut_off(open_page: Opener, evidence_page: Path, view: str) -> None:
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    with open_page(evidence_page, f"#view={view}") as page:
        for width in (1200, 420, 640):  # 640: 1280 x 800 at 200 %
            page.set_viewport_size({"width": width, "height": 400})
            page.wait_for_function(
                "document.getElementById('list').getBoundingClientRect().right <= innerWidth"
            )
            assert page.evaluate(overflow) == 0
            fits = "node => node.scrollWidth <= node.clientWidth && node.scrollHeight <= node.clientHeight"
            assert page.locator(".cell .facts").evaluate_all(f"all => all.every({fits})")
        page.keyboard.press("Enter")
        assert page.evaluate(overflow) == 0
        page.set_viewport_size({"width": 320, "height": 400})  # WCAG 2.1, 1.4.10
        assert page.evaluate(overflow) == 0


def test_an_evidence_page_is_printed_on_one_sheet(open_page: Opener, evidence_page: Path) -> None:
    with open_page(evidence_page) as page:
        page.keyboard.press("Enter")
        assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) == 1


def test_without_images_the_words_say_what_they_show(
    browser: Browser, chromium: str, evidence_page: Path
) -> None:
    options = ["--no-sandbox", "--blink-settings=imagesEnabled=false"]
    without = browser.browser_type.launch(executable_path=chromium, args=options)
    page = without.new_context(offline=True).new_page()
    page.goto(evidence_page.as_uri())
    listed = page.locator("#rows").inner_text()
    assert all(word in listed for word in ("strong", "0.700", "in/000.jpg", "inconclusive", "in/001.jpg"))
    page.keyboard.press("Enter")
    images = page.locator("#detail [role=img]")
    labels = [images.nth(place).get_attribute("aria-label") for place in range(images.count())]
    assert labels == [
        "Score 0.700, threshold 0.600",
        "Where the detector looked: 0.600, 0.250, 0.300, 0.450, 0.550",
        "The crop with the highest score, at full size",
        "Outline of the world with a dot at -33.5, 151.2",
    ]
    without.close()


def copy_of(index: int, hashed: str | None, **changes: Any) -> ScanResult:
    facts = replace(FACTS, sha256=f"{index:064x}", perceptual_hash=hashed, width=300 - index, exif=Exif())
    return scored(index, facts=facts, **changes)


def copied_results() -> list[ScanResult]:
    """Of eight inputs, 1, 4 and 5 show one image; 5 and 6 have the same bytes; 7 has too little detail."""
    near = [f"{5 << 250 | (1 << bits) - 1:064x}" for bits in range(3)]
    return [
        *(copy_of(index, sha256(bytes(index)).hexdigest()) for index in (0, 2, 3)),
        *(copy_of(index, near[place]) for place, index in enumerate((1, 4, 5))),
        scored(6, facts=copy_of(5, near[2]).facts, scores=copy_of(5, None).scores),
        copy_of(7, ""),
    ]


@pytest.fixture
def copies_page(tmp_path: Path) -> Path:
    rendered(tmp_path / "copies.html", annotated(journal_of(*copied_results(), run=full_header()), Marks()))
    return tmp_path / "copies.html"


def names(*indices: int) -> list[str]:
    return [f"in/{index:03d}.jpg" for index in indices]


def test_copies_fold_under_the_strongest_and_unfold(open_page: Opener, copies_page: Path) -> None:
    with open_page(copies_page) as page:
        assert shown_paths(page) == names(0, 1, 2, 3, 7)
        assert words(page).split("\n") == ["8 inputs", "3 folded under a stronger copy", "Unfold all copies"]
        page.get_by_role("button", name="4 copies, 0.94 to 0.98").click()
        assert shown_paths(page) == names(0, 1, 4, 5, 6, 2, 3, 7)
        page.keyboard.press("c")
        assert shown_paths(page) == names(0, 1, 2, 3, 7)
        page.get_by_role("button", name="Unfold all copies").click()
        assert shown_paths(page) == names(0, 1, 2, 3, 4, 5, 6, 7)
        assert "fold=no" in page.evaluate("location.hash")
        assert words(page).startswith("8 inputs")


def test_undo_chooses_an_image_that_is_folded_by_then(open_page: Opener, copies_page: Path) -> None:
    with open_page(copies_page) as page:
        page.get_by_role("button", name="4 copies, 0.94 to 0.98").click()
        page.locator("#rows [data-place='3']").click()
        page.keyboard.press("Escape")
        page.keyboard.press("1")
        page.keyboard.press("c")
        assert shown_paths(page) == names(0, 1, 2, 3, 7)
        page.keyboard.press("u")
        assert shown_paths(page) == names(0, 1, 4, 5, 6, 2, 3, 7)
        assert page.locator("#rows [aria-selected=true] .name").inner_text().strip() == "in/005.jpg"
        page.keyboard.press("1")
        page.get_by_label("strong", exact=False).first.check()
        page.keyboard.press("Escape")
        page.keyboard.press("u")
        assert page.locator("#message").inner_text() == (
            "The mark of in/005.jpg is undone; the filters hide this image."
        )


def test_a_filter_counts_folded_copies_and_the_strongest_that_passes_stands_for_them(
    open_page: Opener, copies_page: Path
) -> None:
    with open_page(copies_page) as page:
        page.get_by_label("has copies, evidence differs").check()
        assert shown_paths(page) == names(1)
        assert words(page).startswith("4 of 8 inputs")
        page.get_by_label("weak").check()
        assert shown_paths(page) == names(4)
        assert words(page).startswith("3 of 8 inputs")


def test_the_evidence_page_lists_copies_and_where_they_disagree(open_page: Opener, copies_page: Path) -> None:
    with open_page(copies_page) as page:
        page.get_by_role("gridcell", name="in/001.jpg").click()
        block = page.locator("section.block", has=page.get_by_role("heading", name="Copies"))
        said = block.inner_text()
        assert "The same image scored 0.980 here, 0.940 as a copy (JPEG, 295 x 200)." in said
        lines = block.locator("li").all_inner_texts()
        assert [line.split("\n")[-1] for line in lines] == [
            "the strongest; JPEG, 299 x 200",
            "distance 1; JPEG, 296 x 200",
            "distance 2; JPEG, 295 x 200",
            "distance 2; JPEG, 295 x 200",
        ]
        block.get_by_role("button", name="in/006.jpg").click()
        assert page.locator("#detail .title").inner_text() == "in/006.jpg"
        page.keyboard.press("Escape")
        assert shown_paths(page) == names(0, 1, 4, 5, 6, 2, 3, 7), "the group is unfolded, to show it"


def said_of(kind: EntryKind, copy: int, marked: int, by: str, at: str) -> MarkEntry:
    return MarkEntry(kind, f"{copy:064x}", "x.jpg", "", "", by, at, copy_of=f"{marked:064x}")


ANSWERS = (
    said_of(EntryKind.OTHER_IMAGE, 4, 1, "<b>Anna", "2026-11-28T10:00:00+00:00"),
    said_of(EntryKind.SAME_IMAGE, 5, 1, "Ben", "2026-11-28T10:01:00+00:00"),
    said_of(EntryKind.OTHER_IMAGE, 4, 5, "Cem", "2026-11-28T10:02:00+00:00"),
)
ANNA, BEN = (
    "<b>Anna: another image (2026-11-28 10:00:00 UTC)",
    "Ben: the same image (2026-11-28 10:01:00 UTC)",
)
CEM_OF_4 = "Cem: another image than in/004.jpg (2026-11-28 10:02:00 UTC)"
ANNA_OF_1, BEN_OF_1 = (
    ANNA.replace("image", "image than in/001.jpg"),
    BEN.replace("image", "image as in/001.jpg"),
)
CEM = "Cem: another image (2026-11-28 10:02:00 UTC)"


@pytest.mark.parametrize(
    ("index", "private", "beside"),
    [
        pytest.param(
            1, False, {1: [], 4: [ANNA], 5: [BEN, CEM_OF_4], 6: [BEN, CEM_OF_4]}, id="the strongest"
        ),
        pytest.param(
            4, False, {1: [ANNA], 4: [], 5: [BEN_OF_1, CEM], 6: [BEN_OF_1, CEM]}, id="who was denied"
        ),
        pytest.param(6, False, {1: [BEN], 4: [ANNA_OF_1, CEM], 5: [], 6: []}, id="equal bytes"),
        pytest.param(
            *(4, True),
            {1: ["somebody (names are left out): another image (2026-11-28 10:00:00 UTC)"], 4: []},
            id="private",
        ),
    ],
)
def test_what_people_said_of_copies_stands_beside_them(
    open_page: Opener, tmp_path: Path, index: int, private: bool, beside: dict[int, list[str]]
) -> None:
    run = replace(full_header(), private=private)
    rendered(tmp_path / "r.html", annotated(journal_of(*copied_results(), run=run), Marks(ANSWERS)))
    with open_page(tmp_path / "r.html") as page:
        page.get_by_role("button", name="4 copies, 0.94 to 0.98").click()
        page.get_by_role("gridcell", name=f"in/{index:03d}.jpg").click()
        block = page.locator("section.block", has=page.get_by_role("heading", name="Copies"))
        assert ("The same image scored" in block.inner_text()) == (index != 4), (
            "what was denied is not the same"
        )
        for member, said in beside.items():
            lines = block.locator("li").nth((1, 4, 5, 6).index(member)).inner_text().split("\n")
            assert lines[[line.endswith("x 200") for line in lines].index(True) + 1 :] == said


@pytest.mark.parametrize(
    ("kept", "tile", "relations"),
    [
        ((1,), "1 of 4 copies", ["the strongest"]),
        ((4,), "1 of 4 copies", ["distance 1"]),
        ((5, 6), "2 of 4 copies", ["distance 2", "distance 2"]),
    ],
    ids=["the strongest alone", "another alone", "equal bytes"],
)
def test_copies_that_a_page_of_chosen_rows_lacks_are_counted(
    open_page: Opener,
    copies_page: Path,
    tmp_path: Path,
    kept: tuple[int, ...],
    tile: str,
    relations: list[str],
) -> None:
    record = annotated(journal_of(*copied_results(), run=full_header()), Marks())
    conditions = [parse_condition(f"path!=in/{index:03d}.jpg") for index in range(8) if index not in kept]
    rendered(tmp_path / "some.html", SelectedRecord(record, Choice(only=tuple(conditions))))
    with open_page(tmp_path / "some.html") as page:
        assert page.locator("#rows").get_by_text(tile).count() == 1
        if page.locator("#detail").is_hidden():  # of one image the evidence page opens at once
            page.locator("#rows [data-place='0']").first.click()
        block = page.locator("section.block", has=page.get_by_role("heading", name="Copies"))
        said = block.inner_text()
        assert "No other image" not in said
        assert "4 files of this scan show this image, as" in said
        assert f"Of these files, {4 - len(kept)} not on this page" in said
        assert [
            line.split("\n")[-1].split(";")[0] for line in block.locator("li").all_inner_texts()
        ] == relations


def test_what_was_not_compared_is_said(open_page: Opener, copies_page: Path, report: Path) -> None:
    with open_page(copies_page) as page:
        page.get_by_role("gridcell", name="in/007.jpg").click()
        assert "too little detail" in page.locator("#detail").inner_text()
    with open_page(report) as page:
        page.get_by_role("gridcell", name="in/000.jpg").click()
        assert "Whether others show the same was not looked for." in page.locator("#detail").inner_text()


def test_a_map_has_its_figures_in_words_and_says_what_it_is_not(open_page: Opener, tmp_path: Path) -> None:
    """Of one image the evidence page opens at once."""
    drawing = io.BytesIO()
    Image.new("RGB", (900, 700), "navy").save(drawing, "PNG")
    score_map = ScoreMap(
        *(SCORE.model, SCORE.digest, SCORE.threshold, 224, 448, 300, (0, 224), (0, 76)),
        scores=((0.25, 0.875), (0.5, 0.125)),
        flat=((False, False), (False, True)),
        made_by="pytorch 2, cpu, fp32",
    )
    journal = journal_of(SCORED, run=full_header())
    journal.keep_closer_look(str(FACTS.sha256), CloserLook((score_map,), drawing.getvalue()))
    rendered(tmp_path / "r.html", journal)
    figures = (
        "mini: 1 of 3 windows (33.3 %) reach the threshold 0.600; the highest has 0.875, at x 224, y 0 of "
        "the file's pixels. There are 4 windows of 224 x 224 pixels. They lie 224 pixels apart across and 76 "
        "down. The image is hardly larger than a window, so they say little more than the score does. "
        "Too flat to judge, and counted nowhere: 1."
    )
    with open_page(tmp_path / "r.html") as page:
        block = page.locator("#detail .map")
        assert figures in block.inner_text()
        assert "a map does not show where an image was edited" in block.inner_text()
        image = block.locator("img")
        assert image.get_attribute("alt") == f"Score map. {figures}"
        assert image.evaluate("image => image.naturalWidth") == 900
        assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) == 1, "printed on one sheet"
        page.keyboard.press("Escape")
        assert shown_paths(page) == ["a.jpg"]


def saying(verdict: str, strength: str | None, name: str, *markers: Marker, **stated: Any) -> ScanResult:
    provenance = Provenance(verdict, strength, "", markers, **stated)
    return replace(
        SCORED,
        name=name,
        facts=replace(FACTS, sha256=sha256(name.encode()).hexdigest(), provenance=provenance),
    )


@pytest.fixture
def provenance_page(tmp_path: Path) -> Path:
    """Files that say that AI made them, that it made parts, nothing; and one of an earlier sidscan."""
    made = Marker(
        "c2pa-created",
        "ai_generated",
        "not_checked",
        "PNG caBX",
        "c2pa.created",
        HOSTILE,
        41,
        "Maker",
        "Acme, CN",
    )
    out = tmp_path / "r.html"
    rendered(
        out,
        journal_of(
            saying("ai_generated", "not_checked", "made.png", made, byline="Maria", caption=HOSTILE),
            saying("ai_edited", "plain", "parts.png"),
            saying("none", None, "plain.png"),
            replace(SCORED, name="old.png", facts=replace(FACTS, sha256="0" * 64, provenance=None)),
        ),
    )
    return out


def test_traces_have_a_filter_and_a_block_with_their_limits(open_page: Opener, tmp_path: Path) -> None:
    found = (
        Trace("trailing_data", "9 bytes behind the image: text", "behind PNG IEND", 41, HOSTILE),
        Trace("of_a_later_sidscan", "something"),
        Trace("whatsapp_name", "a shape", "name", 0),
        Trace("jpeg_before", "steps", "pixels", 0),
    )
    results = [
        replace(
            SCORED, name=name, facts=replace(FACTS, sha256=sha256(name.encode()).hexdigest(), traces=traces)
        )
        for name, traces in (("a.png", found), ("none.png", ()), ("old.png", None))
    ]
    out = tmp_path / "r.html"
    rendered(out, journal_of(*results))
    with open_page(out) as page:
        facet = page.locator("fieldset", has_text="Traces in the file")
        labels = dict(line.rsplit(None, 1) for line in facet.locator("label").all_inner_texts())
        assert labels == {
            "none of those looked for": "1",
            "of_a_later_sidscan": "1",
            "data behind the image": "1",
            "named as by WhatsApp": "1",
            "was a JPEG before": "1",
        }
        page.get_by_label("data behind the image").check()
        assert page.locator(".cell .name").all_inner_texts() == ["a.png"]
    for name, said in (
        ("a.png", "None of them says that AI was used."),
        ("none.png", "None of those that sidscan looks for."),
        ("old.png", "Nobody looked"),
    ):
        with open_page(out, f"#q={name}") as page:
            page.keyboard.press("Enter")
            heading = page.get_by_role("heading", name="Traces in the file", exact=True)
            text = page.locator(".block", has=heading).inner_text()
            assert said in text
            assert "byte 0" not in text
            assert ("data behind the image (behind PNG IEND, byte 41)" in text) == (name == "a.png")
            assert ("It does not mean that the image was changed." in text) == (name == "a.png")
            assert ("</script><img src=x onerror=alert(1)>" in text) == (name == "a.png")
            assert ("The reference page of this sidscan" in text) == (name == "a.png")


def test_the_list_shows_and_filters_what_files_say(open_page: Opener, provenance_page: Path) -> None:
    with open_page(provenance_page) as page:
        assert page.locator(".cell .says-ai").all_inner_texts() == ["says AI", "says AI parts"]
        facet = page.locator("fieldset", has_text="What the file says of its origin")
        labels = dict(line.rsplit(None, 1) for line in facet.locator("label").all_inner_texts())
        assert labels == {
            "says that AI made it": "1",
            "says that AI made parts": "1",
            "says nothing of AI": "1",
            "not read": "1",
        }
        page.get_by_label("says that AI made parts").check()
        assert page.locator(".cell .name").all_inner_texts() == ["parts.png"]
    with open_page(provenance_page, "#f.provenance=not+read&view=table") as page:
        assert page.locator(".c-path").all_inner_texts()[1:] == ["old.png"]


def test_the_list_filters_by_where_a_localizer_points(open_page: Opener, tmp_path: Path) -> None:
    mapped = Localization("l", "d", "tiles", region=(1, 2, 30, 40), area=0.5, maximum=0.9, tiles=4)
    found = [
        replace(SCORED, name="region.jpg", localization=mapped),
        replace(SCORED, name="none.jpg", localization=replace(mapped, region=None, area=0.0)),
        replace(SCORED, name="no_map.jpg"),
    ]
    out = tmp_path / "r.html"

    class Joined(WrappedRecord):
        def results(self):  # type: ignore[no-untyped-def]
            return iter(found)

    write_all([output_for(str(out))], Joined(journal_of(*found)))
    with open_page(out) as page:
        facet = page.locator("fieldset", has_text="Where a localizer points")
        labels = dict(line.rsplit(None, 1) for line in facet.locator("label").all_inner_texts())
        assert labels == {"region to look at": "1", "no region to look at": "1"}
        page.get_by_label(re.compile("^region to look at")).check()
        assert page.locator(".cell .name").all_inner_texts() == ["region.jpg"]
        assert "f.regions=region+to+look+at" in page.url
    with open_page(tmp_path / "r.html", "#f.regions=no+region+to+look+at&view=table") as page:
        assert page.locator(".c-path").all_inner_texts()[1:] == ["none.jpg"]


GRAPH = Marker("comfyui-graph", "ai_generated", "plain", "PNG tEXt", "prompt", "{}", 33)
CAPTURE = Marker(
    "c2pa-capture", "no_ai_claim", "not_checked", "JPEG APP11", "c2pa.created", "digitalCapture", 20
)
PART = Marker("c2pa-part", "ai_edited", "not_checked", "JPEG APP11", "c2pa.edited", "trained", 20)


@pytest.fixture
def markers_page(tmp_path: Path) -> Path:
    """A graph, which says less than its verdict; a camera's claim alone, and one beside an edit by AI."""
    results = (
        saying("ai_generated", "plain", "graph.png", GRAPH),
        saying("no_ai_claim", "not_checked", "camera.jpg", CAPTURE),
        saying("ai_edited", "not_checked", "edited.jpg", CAPTURE, PART),
        saying("none", None, "plain.png"),
    )
    rendered(tmp_path / "r.html", journal_of(*results))
    return tmp_path / "r.html"


def test_the_sign_says_what_the_sentence_says(open_page: Opener, markers_page: Path) -> None:
    with open_page(markers_page) as page:
        assert page.locator(".cell .says-ai").all_inner_texts() == ["ComfyUI graph", "says AI parts"]
        assert "a graph of ComfyUI (1)" in page.locator("header").inner_text()
        page.get_by_label("credentials that claim a camera").check()
        assert page.locator(".cell .name").all_inner_texts() == ["camera.jpg"]
    with open_page(markers_page, "#view=table&sort=provenance") as page:
        assert page.locator(".c-path").all_inner_texts()[1:3] == ["edited.jpg", "graph.png"], (
            "by what they say"
        )


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("marker:c2pa-capture", ["camera.jpg", "edited.jpg"]),
        ("marker:c2pa", ["camera.jpg", "edited.jpg"]),
        ("comfyui-graph", ["graph.png"]),
        ("marker:none", []),
    ],
)
def test_markers_can_be_searched(
    open_page: Opener, markers_page: Path, search: str, expected: list[str]
) -> None:
    with open_page(markers_page, f"#q={search}") as page:
        assert page.locator(".cell .name").all_inner_texts() == expected


def test_markers_have_a_filter_of_their_own(open_page: Opener, markers_page: Path) -> None:
    with open_page(markers_page) as page:
        facet = page.locator("fieldset", has_text="Markers of origin")
        labels = dict(line.rsplit(None, 1) for line in facet.locator("label").all_inner_texts())
        assert labels == {"c2pa-capture": "2", "comfyui-graph": "1", "c2pa-part": "1"}
        page.get_by_label("c2pa-capture").check()
        assert page.locator(".cell .name").all_inner_texts() == ["camera.jpg", "edited.jpg"]


def claiming_copies(out: Path, *answers: CopyAnswer) -> Path:
    """A page of a copy of a website, which scores higher, and the file with the label that it lost."""
    website, label = saying("none", None, "web.png"), saying("ai_generated", "plain", "label.png")
    results = website, replace(label, scores=(replace(SCORED.scores[0], score=0.01, logit=-5.0),))
    copies = Copies(group="web.png", count=2, answers=answers)
    by_name = {"web.png": copies, "label.png": replace(copies, distance=3)}
    rendered(out, AnnotatedRecord(journal_of(*results), Marks(), by_name))
    return out


def test_a_copy_that_says_ai_shows_on_the_tile_that_it_is_folded_under(
    open_page: Opener, tmp_path: Path
) -> None:
    with open_page(claiming_copies(tmp_path / "r.html")) as page:
        assert page.locator(".cell .name").all_inner_texts() == ["web.png"]
        assert page.locator(".cell .says-ai").all_inner_texts() == ["a copy says AI"]
        page.keyboard.press("Enter")
        heading = page.get_by_role("heading", name="What the file says of its origin", exact=True)
        said = page.locator(".block", has=heading).inner_text()
        assert "The copy label.png says that AI made this image." in said
        assert page.locator(".members .says-ai").all_inner_texts() == ["says AI"]
        page.keyboard.press("Escape")
        page.keyboard.press("c")
        assert page.locator(".cell .says-ai").all_inner_texts() == ["a copy says AI", "says AI"]


def test_another_image_is_no_copy_that_says_ai(open_page: Opener, tmp_path: Path) -> None:
    label = sha256(b"label.png").hexdigest()
    answer = CopyAnswer("label.png", label, same=False, by="Anna", at="2026-01-01T00:00:00Z")
    with open_page(claiming_copies(tmp_path / "r.html", answer)) as page:
        assert page.locator(".cell .says-ai").count() == 0


def test_the_table_sorts_by_what_files_say(open_page: Opener, provenance_page: Path) -> None:
    with open_page(provenance_page, "#view=table&sort=provenance") as page:
        paths = page.locator(".c-path").all_inner_texts()[1:]
        assert paths == ["made.png", "parts.png", "plain.png", "old.png"]
        assert page.locator("[aria-sort=descending]").inner_text().startswith("File says")


def test_private_pages_say_what_may_be_left_out(open_page: Opener, tmp_path: Path) -> None:
    marker = Marker("xai-signature", "ai_generated", "plain", "EXIF", "", "", 12)
    run = replace(full_header(), private=True)
    rendered(tmp_path / "r.html", journal_of(saying("ai_generated", "plain", "a.png", marker), run=run))
    with open_page(tmp_path / "r.html", "#q=a.png") as page:
        page.keyboard.press("Enter")
        heading = page.get_by_role("heading", name="What the file says of its origin", exact=True)
        block = page.locator(".block", has=heading)
        block.locator("summary").click()
        assert block.inner_text().count("left out, if there was any") == 3, "the maker, IPTC, the marker"


def test_a_graph_of_comfyui_has_the_sentence_of_the_terminal(open_page: Opener, tmp_path: Path) -> None:
    graph = Marker("comfyui-graph", "ai_generated", "plain", "PNG tEXt", "prompt", "{}", 33)
    stated = Marker("iptc-generated", "ai_generated", "plain", "XMP", "DigitalSourceType", "t", 99)
    results = [
        saying("ai_generated", "plain", "graph.png", graph),
        saying("ai_generated", "plain", "stated.png", graph, stated),
    ]
    out = tmp_path / "r.html"
    rendered(out, journal_of(*results))
    for result in results:
        with open_page(out, f"#q={result.name}") as page:
            page.keyboard.press("Enter")
            heading = page.get_by_role("heading", name="What the file says of its origin", exact=True)
            assert result.facts.provenance is not None
            assert verdict_text(result.facts.provenance) in page.locator(".block", has=heading).inner_text()


def test_the_evidence_page_has_what_the_file_says_in_a_block_of_its_own(
    open_page: Opener, provenance_page: Path
) -> None:
    def block_of(page: Any, name: str) -> Any:
        return page.locator(".block", has=page.get_by_role("heading", name=name, exact=True))

    with open_page(provenance_page, "#q=made.png") as page:
        page.keyboard.press("Enter")
        block = block_of(page, "What the file says of its origin")
        assert "The file says that AI made this image." in block.inner_text()
        assert "The signature was not checked, so anybody may have written it." in block.inner_text()
        block.locator("summary").click()
        said = block.inner_text()
        assert "c2pa-created (ai_generated) in PNG caBX, byte 41" in said
        assert "signer, as its certificate says: Acme, CN" in said
        assert said.count("</script><img src=x onerror=alert(1)><b>\\u202e.jpg") == 2, (
            "marker and caption, as text"
        )
        assert "AI made" not in block_of(page, "What the detector measured").inner_text()
    with open_page(provenance_page, "#q=old.png") as page:
        page.keyboard.press("Enter")
        assert (
            "an earlier version of sidscan made this result"
            in block_of(page, "What the file says of its origin").inner_text()
        )
