"""The HTML report without a browser: its data, its policy, hostile texts, files beside it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from sample_results import (
    FACTS,
    FAILED,
    RUN,
    SCORE,
    SCORED,
    full_header,
    journal_of,
    rendered,
    results_of_every_status,
    strict,
)

from sidscan.cli.ranking import Ranking
from sidscan.errors import OutputError, UsageError
from sidscan.journal import Journal
from sidscan.journal.keys import ReuseKeys
from sidscan.records import Counts, Exif, Mark, Marker, ModelRecord, Provenance, ScanResult
from sidscan.records.score_map import CloserLook, ScoreMap
from sidscan.reports import FormatOptions, html, output_for
from sidscan.reports.html.head import SaidCount, head
from sidscan.reports.html.index_rows import COLUMN_NAMES
from sidscan.reports.html.parts import page_strings
from sidscan.reports.private import private_result
from sidscan.util.files import atomic_write
from sidscan.verify import open_report

HOSTILE = [
    "</script><script>alert(1)</script>.jpg",
    "<!--<script>.jpg",
    "bidi \u202egpj.exe",
    "nul \x00 bell \x07",
    "surrogate \udcff",
    "quote \" & <b>bold</b> ' `",
    "line\u2028separator\nnewline",
    "x" * 1_000_000,
]
PAGE = files("sidscan.reports.html") / "page"


class Page(HTMLParser):
    """The elements of a page, with the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}", {}))  # what follows is not its text
        self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data

    def block(self, name: str) -> Any:
        """The data of a JSON block."""
        return strict(self._block_text(name).replace("\n", " "))

    def _block_text(self, name: str) -> str:
        return next(
            text
            for (_, attributes), text in zip(self.elements, self.texts, strict=True)
            if attributes.get("id") == name
        )

    def index(self) -> dict[str, Any]:
        """The index; its list of unsafe characters holds lone surrogates, so it is not strict JSON."""
        index: dict[str, Any] = json.loads(self._block_text("index"))
        return index


def named(result: ScanResult, index: int) -> ScanResult:
    return replace(result, name=f"{index}.jpg")


def cells(page: Page) -> list[dict[str, Any]]:
    """The rows of the index, with texts instead of their numbers."""
    index = page.index()
    found = []
    for row in index["rows"]:
        values = dict(zip(index["columns"], row, strict=True))
        for name in index["indexed"]:
            values[name] = None if values[name] is None else index["strings"][values[name]]
        found.append(values)
    return found


def test_the_index_and_the_chunks_hold_the_record(tmp_path: Path) -> None:
    journal = journal_of(*results_of_every_status(), run=full_header())
    page = Page(rendered(tmp_path / "r.html", journal))
    by_path = {entry["path"]: entry for entry in strict(rendered(tmp_path / "r.json", journal))["findings"]}
    rows = cells(page)
    chunk = page.block("chunk-0")
    assert len(rows) == len(chunk) == len(by_path)
    for row, entry in zip(rows, chunk, strict=True):
        result = entry["result"]
        assert result == by_path[row["path"]]
        score = result["scores"][0] if result["scores"] else {"score": None, "evidence": None}
        assert (row["status"], row["score"], row["evidence"]) == (
            result["status"],
            score["score"],
            score["evidence"],
        )
        assert (row["sha256"], row["width"]) == (result["facts"]["sha256"], result["facts"]["width"])
    assert page.index()["run"] == strict(rendered(tmp_path / "r.json", journal))["run"]


def test_the_strongest_evidence_stands_first_and_what_has_no_score_last(tmp_path: Path) -> None:
    def scored(name: str, logit: float, evidence: str) -> ScanResult:
        return replace(SCORED, name=name, scores=(replace(SCORE, logit=logit, evidence=evidence),))

    skipped = next(result for result in results_of_every_status() if result.status.value == "skipped")
    results = [
        skipped,
        FAILED,
        scored("flat", 9.0, "inconclusive"),
        scored("low", -2.0, "weak"),
        scored("high", 3.0, "strong"),
        scored("also low", -2.0, "weak"),
    ]
    rows = cells(Page(rendered(tmp_path / "r.html", journal_of(*results))))
    assert [row["path"] for row in rows] == ["high", "low", "also low", "flat", FAILED.name, skipped.name]


def test_of_several_models_the_strongest_evidence_ranks_an_image(tmp_path: Path) -> None:
    def scored(name: str, *found: tuple[str, float]) -> ScanResult:
        scores = tuple(replace(SCORE, evidence=word, logit=logit, model=name) for word, logit in found)
        return replace(SCORED, name=name, facts=replace(FACTS, sha256=None), scores=scores)

    results = [
        scored("weak", ("weak", 9.0), ("weak", 8.0)),
        scored("second", ("weak", -2.0), ("strong", 2.0)),
        scored("first", ("strong", 3.0), ("inconclusive", 99.0)),
        scored("flat", ("inconclusive", 99.0), ("inconclusive", 1e9)),
    ]
    run = replace(RUN, models=(RUN.models[0], replace(RUN.models[0], name="other")))
    text = rendered(tmp_path / "r.html", journal_of(*results, run=run))
    rows = cells(Page(text))
    assert [(row["path"], row["evidence"]) for row in rows] == [
        ("first", "strong"),
        ("second", "strong"),
        ("weak", "weak"),
        ("flat", "inconclusive"),
    ]
    assert "Evidence: 2 strong, 1 weak, 1 inconclusive. Several models: each image stands with" in text
    ranking = Ranking(4)
    for result in results:
        ranking.add(result)
    assert [entry.result.name for entry in ranking.highest()] == [row["path"] for row in rows]


@pytest.mark.parametrize("exif", [False, True], ids=["name", "EXIF"])
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_hostile_texts_stay_text(tmp_path: Path, text: str, exif: bool) -> None:
    harmless = Page(rendered(tmp_path / "0.html", journal_of(SCORED)))
    if exif:
        facts = replace(FACTS, exif=Exif(make=text, model=text, original_date=text, tags={text: text}))
        result = replace(SCORED, facts=facts)
    else:
        result = replace(SCORED, name=text.replace("\x00", ""))
    page = Page(rendered(tmp_path / "r.html", journal_of(result)))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in harmless.elements]
    assert len(cells(page)) == 1
    assert page.block("chunk-0")


def test_names_that_are_not_utf8_are_read_back(tmp_path: Path) -> None:
    names = ["a\udcff.jpg", "a\\udcff.jpg"]
    rendered(tmp_path / "r.html", journal_of(*(replace(SCORED, name=name) for name in names)))
    with open_report(tmp_path / "r.html") as report:
        assert sorted(row.row.name for row in report.check()) == sorted(names)


def test_nothing_is_requested_and_only_our_script_and_style_run(tmp_path: Path) -> None:
    page = Page(rendered(tmp_path / "r.html", journal_of(SCORED)))
    policy = next(a["content"] for _, a in page.elements if "Content-Security-Policy" in a.values())
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; ")
    blocks = {
        tag: text
        for (tag, attributes), text in zip(page.elements, page.texts, strict=True)
        if tag in ("style", "script") and not attributes
    }
    for tag, text in blocks.items():
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    loading = {
        "src",
        "href",
        "action",
        "srcset",
        "data",
        "poster",
        "background",
        "style",
        "onclick",
        "onload",
    }
    assert not [attributes for _, attributes in page.elements if loading & attributes.keys()]


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    texts = {rendered(tmp_path / f"{i}.html", journal_of(SCORED, FAILED, run=full_header())) for i in "ab"}
    assert len(texts) == 1


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "INLINE_ROWS", 3)
    monkeypatch.setattr(html, "CHUNK_ROWS", 2)


def write(out: Path, *results: ScanResult, html_thumbs: str | None = None) -> None:
    options = FormatOptions(html_thumbs=html_thumbs)
    output_for(str(out), overwrite=True, options=options).write(journal_of(*results))


@pytest.mark.usefixtures("small_chunks")
def test_many_rows_have_their_chunks_beside_the_page(tmp_path: Path) -> None:
    results = [named(SCORED, index) for index in range(5)]
    page = Page(rendered(tmp_path / "r.html", journal_of(*results)))
    names = page.block("chunk-files")
    assert [re.sub("[0-9a-f]{32}", "HASH", name) for name in names] == [
        f"r_files/chunk-0000{number}-HASH.js" for number in range(3)
    ]
    entries = []
    for number, name in enumerate(names):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert hashlib.sha256(text[len(f"sidscanChunk({number},") : -2].encode()).hexdigest()[:32] in name
        entries += json.loads(text[len(f"sidscanChunk({number},") : -2])
    assert [entry["result"]["path"] for entry in entries] == [f"{index}.jpg" for index in range(5)]


@pytest.mark.usefixtures("small_chunks")
def test_chunks_of_an_earlier_page_are_removed_once_it_is_replaced(tmp_path: Path) -> None:
    out, folder = tmp_path / "r.html", tmp_path / "r_files"
    folder.mkdir()
    (folder / "mine.js").write_text("kept")
    for count in (7, 5, 5):
        journal: Journal = journal_of(*(named(SCORED, index) for index in range(count)))
        names = Page(rendered(out, journal)).block("chunk-files")
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["mine.js", *(Path(name).name for name in names)]
    )


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(("count", "thumbs"), [(2, None), (5, "inline")])
@pytest.mark.parametrize("mine", [True, False])
def test_chunks_are_removed_when_a_page_of_one_file_replaces_theirs(
    tmp_path: Path, count: int, thumbs: str | None, mine: bool
) -> None:
    out, folder = tmp_path / "r.html", tmp_path / "r_files"
    write(out, *(named(SCORED, index) for index in range(5)))
    assert len(list(folder.iterdir())) == 3
    if mine:
        (folder / "mine.js").write_text("kept")
    write(out, *(named(SCORED, index) for index in range(count)), html_thumbs=thumbs)
    assert sorted(path.name for path in tmp_path.rglob("*")) == (
        ["mine.js", "r.html", "r_files"] if mine else ["r.html"]
    )


@pytest.mark.usefixtures("small_chunks")
def test_what_a_killed_run_left_in_the_folder_is_removed(tmp_path: Path) -> None:
    out, folder = tmp_path / "r.html", tmp_path / "r_files"
    folder.mkdir()
    whole = folder / "chunk-00000-x.js"
    with atomic_write(whole) as partial:
        pass
    whole.rename(partial)
    write(out, SCORED)
    assert not folder.exists()


@pytest.mark.usefixtures("small_chunks")
def test_a_private_page_leaves_nothing_of_the_page_that_it_replaces(tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    marked = replace(SCORED, mark=Mark("suspicious", "ANNA", "2026-01-01T00:00:00+00:00", "SECRET"))
    results = [named(marked, index) for index in range(5)]
    write(out, *results)
    assert "SECRET" in "".join(path.read_text() for path in (tmp_path / "r_files").iterdir())
    write(out, *map(private_result, results))
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) == 1 + 3
    assert not [path for path in left if "SECRET" in path.read_text() or "ANNA" in path.read_text()]


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_that_cannot_be_removed_is_named(tmp_path: Path) -> None:
    out, folder = tmp_path / "r.html", tmp_path / "r_files"
    write(out, *(named(SCORED, index) for index in range(5)))
    stuck = folder / f"chunk-00000-{32 * 'a'}.js"
    stuck.mkdir()
    with pytest.raises(OutputError, match=rf"can't remove .*{stuck.name}, a part of the page that r.html"):
        write(out, SCORED)
    assert "</html>" in out.read_text()


@pytest.mark.parametrize(
    ("most", "thumbs", "one_file"),
    [
        pytest.param(5_000, None, False, id="larger"),
        pytest.param(5_000, "none", False, id="larger without small images"),
        pytest.param(5_000, "inline", True, id="larger, and asked for"),
        pytest.param(500_000, None, True, id="smaller"),
    ],
)
def test_few_rows_that_are_large_lie_beside_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, thumbs: str | None, one_file: bool
) -> None:
    monkeypatch.setattr(html, "INLINE_BYTES", most)
    exif = Exif(tags={"EXIF UserComment": 3_000 * "x"})
    results = [named(replace(SCORED, facts=replace(FACTS, exif=exif)), index) for index in range(2)]
    out = tmp_path / "r.html"
    write(out, *results, html_thumbs=thumbs)
    page = Page(out.read_text(encoding="utf-8"))
    assert [name is None for name in page.block("chunk-files")] == [one_file]
    assert (tmp_path / "r_files").exists() is not one_file
    with open_report(out) as report:
        assert report.rows == 2


@pytest.mark.usefixtures("small_chunks")
def test_standard_output_gets_one_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output_for("-", "html").write(journal_of(*(named(SCORED, index) for index in range(5))))
    page = Page(capsys.readouterr().out)
    assert page.block("chunk-files") == [None] * 3
    assert len(page.block("chunk-2")) == 1


def test_a_result_that_is_gone_is_noticed(tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    lines = rendered(out, journal_of(SCORED, FAILED)).splitlines(keepends=True)
    out.write_text("".join(line for line in lines if not line.startswith('["b.jpg"')), encoding="utf-8")
    with pytest.raises(UsageError, match="it has 1 results and states 2"), open_report(out) as report:
        list(report.check())


def test_a_browser_without_scripts_shows_a_table(tmp_path: Path) -> None:
    text = rendered(tmp_path / "r.html", journal_of(*(named(SCORED, index) for index in range(300))))
    table = text.split("<noscript>")[1].split("</noscript>")[0]
    assert table.count("<tr>") == 1 + 200
    assert """<td>moderate</td><td>0.700</td><td class="name">0.jpg</td>""" in table


def test_the_head_states_counts_models_and_sessions(tmp_path: Path) -> None:
    text = rendered(tmp_path / "r.html", journal_of(SCORED, FAILED, run=full_header()))
    head = text.split("<header>")[1].split("</header>")[0]
    assert "<p>2 inputs = 1 scored + 1 failed + 0 skipped. Evidence: 1 moderate.</p>" in head
    assert "does not prove that a camera" in head
    assert "<strong>mini</strong>, threshold 0.6, calibrated on 100 images" in head
    assert "<dd>2026-01-01T00:00:09+00:00; sidscan scan .</dd>" in head
    assert "no end recorded" in head


NPR = ModelRecord("npr", "d", view="both sides resized to 256 px (bilinear)")
OF_VIEWS = replace(
    SCORE,
    model="npr",
    digest="d",
    logit=3.0,
    highest_crop=None,
    crop_scores=(0.485,),
    model_input="resized to 256 x 256 px (bilinear)",
)


@pytest.mark.parametrize(
    ("models", "crops"),
    [
        pytest.param((NPR,), False, id="pictures"),
        pytest.param((*RUN.models, NPR), True, id="pictures and crops"),
    ],
)
def test_the_head_states_what_models_read(models: tuple[ModelRecord, ...], crops: bool) -> None:
    shown = head(replace(RUN, models=models), Counts(1, 1, 0, 0), Counter(), page_strings())
    assert "<dt>read by npr</dt><dd>both sides resized to 256 px (bilinear)</dd>" in shown
    assert "read by mini" not in shown
    assert ("<dt>crops</dt><dd>ten, effort full</dd>" in shown) == crops


def test_a_table_without_scripts_names_the_model_of_each_score(tmp_path: Path) -> None:
    results = [replace(SCORED, scores=(SCORE, replace(OF_VIEWS, evidence="strong"))), FAILED]
    run = replace(RUN, models=(*RUN.models, NPR))
    table = rendered(tmp_path / "r.html", journal_of(*results, run=run)).split("<noscript>")[1]
    assert "<td>strong</td><td>0.700</td><td>npr</td>" in table
    assert f'<td></td><td></td><td class="name">{FAILED.name}' in table


def test_the_crop_is_of_a_model_that_reads_crops(tmp_path: Path) -> None:
    result = replace(SCORED, scores=(OF_VIEWS, SCORE))
    journal = journal_of(result, run=replace(RUN, models=(*RUN.models, NPR)))
    crops = {str(result.facts.sha256): (str(SCORE.highest_crop), b"webp")}
    journal.append([result], ReuseKeys("score", "limits", "urls"), {}, crops)
    (entry,) = Page(rendered(tmp_path / "r.html", journal)).block("chunk-0")
    assert entry["crop"] == base64.b64encode(b"webp").decode()


GRAPH = Marker("comfyui-graph", "ai_generated", "plain", "PNG tEXt", "prompt", "{}", 33)


@pytest.mark.parametrize(
    ("said", "sentence", "checked"),
    [
        pytest.param([], "", "nobody", id="of an earlier sidscan"),
        pytest.param([Provenance()], "No file says that AI was used.", "nobody", id="nothing"),
        pytest.param(
            [Provenance("ai_generated", checked="c2pa-python 1, trust lists 0f"), Provenance(), Provenance()],
            "Origin, as files state it: AI made it (1), nothing of AI (2).",
            "c2pa-python 1, trust lists 0f",
            id="claims",
        ),
        pytest.param(
            [Provenance("ai_generated", markers=(GRAPH,)), Provenance("ai_generated")],
            "Origin, as files state it: AI made it (1), a graph of ComfyUI (1).",
            "nobody",
            id="a claim and what says less",
        ),
    ],
)
def test_the_head_counts_what_files_say(said: list[Provenance], sentence: str, checked: str) -> None:
    count = SaidCount()
    for provenance in said:
        count.add(replace(SCORED, facts=replace(FACTS, provenance=provenance)))
    count.add(replace(SCORED, facts=replace(FACTS, provenance=None)))
    shown = head(RUN, Counts(3, 3, 0, 0), Counter(), page_strings(), said=count)
    assert ("origin" in shown.lower() or "No file says" in shown) == bool(sentence)
    assert sentence in shown
    assert f"<dt>signatures checked by</dt><dd>{checked}</dd>" in shown


def test_a_run_without_inputs_is_a_page(tmp_path: Path) -> None:
    page = Page(rendered(tmp_path / "r.html", journal_of(run=RUN)))
    assert cells(page) == []


def test_every_text_of_the_page_stands_in_the_table_and_is_used() -> None:
    scripts = "".join(part.read_text() for part in PAGE.iterdir() if part.name.endswith(".js"))
    texts = page_strings()
    used = set(re.findall(r'\bS\.(\w+)|\btext\("(\w+)"|block\("(\w+)"|button\("(\w+)"', scripts))
    names = {name for match in used for name in match if name}
    assert names <= texts.keys()
    python = "".join((PAGE / ".." / name).read_text() for name in ("head.py", "__init__.py", "parts.py"))
    quoted = {name for name in texts if re.search(rf'["\s.{{]{name}["\s,.:;)}}\[\]]', scripts + python)}
    assert texts.keys() == quoted
    assert set(re.findall(r"S\.labels\.(\w+)", scripts)) == texts["labels"].keys()
    assert set(re.findall(r'names\["(\w+)"\]', python)) == texts["heads"].keys()


def test_scripts_use_columns_of_the_index_only() -> None:
    scripts = "".join(part.read_text() for part in PAGE.iterdir() if part.name.endswith(".js"))
    assert set(re.findall(r'value\(\w+(?:\[\w+\])?, "(\w+)"\)', scripts)) <= set(COLUMN_NAMES)


def test_the_script_is_small_enough_to_read() -> None:
    assert sum(len(part.read_bytes()) for part in PAGE.iterdir() if part.name.endswith(".js")) < 90_000


MAP = ScoreMap(
    model=SCORE.model,
    digest=SCORE.digest,
    threshold=SCORE.threshold,
    side=224,
    width=448,
    height=224,
    lefts=(0, 224),
    tops=(0,),
    scores=((0.25, 0.875),),
    flat=((False, False),),
    made_by="t",
)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        pytest.param({}, True, id="same"),
        pytest.param({"digest": "other"}, False, id="other weights"),
        pytest.param({"model": "other"}, False, id="other model"),
        pytest.param({"threshold": 0.1}, False, id="other threshold"),
    ],
)
def test_a_map_is_shown_beside_the_score_that_it_belongs_to(
    tmp_path: Path, changes: dict[str, Any], shown: bool
) -> None:
    journal = journal_of(SCORED)
    look = CloserLook((replace(MAP, **changes),), b"png")
    journal.keep_closer_look(str(FACTS.sha256), look)
    assert journal.closer_look(str(FACTS.sha256)) == look
    (entry,) = Page(rendered(tmp_path / "r.html", journal)).block("chunk-0")
    assert ("map" in entry) == shown
    if shown:
        assert base64.b64decode(entry["map"]["png"]) == b"png"
        assert entry["map"]["figures"] == [
            {
                "model": SCORE.model,
                "threshold": SCORE.threshold,
                "windows": 2,
                "side": 224,
                "judged": 2,
                "above": 1,
                "stride": [224, 0],
                "highest": [0.875, 224, 0],
                "made_by": "t",
            }
        ]
