"""HTML: the report that people look at. One page that opens by double-click and asks nobody for anything.

The page holds the record as data, and a script that draws only what is in sight. The list's own data (the
index) stands in the page. What the evidence page of one image needs comes in chunks of 100 images: within the
page up to `INLINE_ROWS` inputs and `INLINE_BYTES`, else in files of a folder beside it, since a page opened
from a disk can load scripts but may not fetch.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from string import Template
from tempfile import TemporaryFile
from typing import IO, TextIO

from sidscan.config import MOST_CROPS
from sidscan.errors import OutputError
from sidscan.records import JsonObject, RunHeader, RunRecord, ScanResult, num_rows
from sidscan.records.score_map import CloserLook
from sidscan.reports.base import (
    DEFAULT_OPTIONS,
    REPORT_FORMAT_NUMBER,
    FormatOptions,
    ReportFormat,
    report_format,
)
from sidscan.reports.csv_escape import ESCAPE_PATTERN, FORMULA_STARTS
from sidscan.reports.html import reading
from sidscan.reports.html.head import SaidCount, head, page_title, static_table, text
from sidscan.reports.html.index_rows import COLUMN_NAMES, REPEATING_COLUMNS, StringTable, index_row
from sidscan.reports.html.parts import csp_hash, page_part, page_strings
from sidscan.reports.json import ijson_text, result_object
from sidscan.reports.reader import ReportRow
from sidscan.reports.stated import StatedResult
from sidscan.util.files import atomic_write
from sidscan.util.terminal import UNSAFE_CHARACTERS

INLINE_ROWS = 2_000
"""Inputs up to which the report is one file."""
INLINE_BYTES = 16_000_000
"""Bytes of chunks up to which it is: maps, crops and long EXIF may make a few inputs large."""
CHUNK_ROWS = 100
"""Images per chunk."""
_STATIC_ROWS = 200  # of the table for browsers without scripts
_SCRIPTS = (
    *("data.js", "provenance.js", "copies.js", "marks.js", "marks_csv.js", "filters.js", "list.js"),
    *("place.js", "maps.js", "regions.js", "decided.js", "detail.js", "main.js"),
)
_START = re.compile(
    rb'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    rb'<meta name="generator" content="sidscan report [1-9][0-9]{0,8}">'
)
_CHUNK_FILE = re.compile(r"chunk-\d{5,}-[0-9a-f]{32}\.js")
_PARTIAL_CHUNK = re.compile(r"\.sidscan-.*\.js")  # of a run that was killed (`util.files.atomic_write`)

ChunkSink = Callable[[int, str], str | None]
"""Takes the number and the JSON of a chunk; returns the file that holds it, None if the page does."""


@report_format("html")
class HtmlReport(ReportFormat):
    """A page of all results. If there are many or large ones, a file's chunks lie in a folder beside it."""

    def __init__(self, options: FormatOptions = DEFAULT_OPTIONS) -> None:
        self._options = options
        self.shows_thumbnails = options.html_thumbs != "none"

    def configured(self, options: FormatOptions) -> HtmlReport:
        """With small images where they are asked for."""
        return HtmlReport(options)

    @property
    def most_rows(self) -> int:
        """A browser that holds too many rows is slow."""
        return self._options.html_rows

    def refusal(self, rows: int) -> str:
        """More rows than that."""
        most = self.most_rows
        return f"it would have {rows} rows, more than {most} (--html-rows)" if rows > most else ""

    def render(self, record: RunRecord, file: TextIO) -> None:
        """Write the whole report as one page."""
        with TemporaryFile("w+", encoding="utf-8", newline="") as inline:
            _write_page(record, file, inline, _Inline(inline, most=None).keep, self.shows_thumbnails)

    def write(self, record: RunRecord, path: Path, final: Path) -> None:
        """Write the page, and its chunks into a folder beside it if there are many rows, or large ones.

        The names of the chunks' files hold their hashes: an earlier page keeps its own until this one
        replaces it (then `remove_stale` removes them), and the hash of the page vouches for them.
        """
        thumbs = self._options.html_thumbs
        if thumbs == "inline":
            super().write(record, path, final)
        elif thumbs == "files" or num_rows(record) > INLINE_ROWS:
            self._write_with_folder(record, path, final)
        else:
            try:
                self._write_one_file(record, path)
            except _TooLarge:
                self._write_with_folder(record, path, final)

    def _write_one_file(self, record: RunRecord, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file, TemporaryFile("w+") as inline:
            keep = _Inline(inline, INLINE_BYTES).keep
            _write_page(record, file, inline, keep, self.shows_thumbnails)

    def _write_with_folder(self, record: RunRecord, path: Path, final: Path) -> None:
        folder = self.folder_beside(final)
        folder.mkdir(exist_ok=True)

        def save(number: int, chunk: str) -> str:
            name = f"chunk-{number:05d}-{hashlib.sha256(chunk.encode()).hexdigest()[:32]}.js"
            with atomic_write(folder / name) as unfinished:
                unfinished.write_text(f"sidscanChunk({number},{chunk})\n", encoding="utf-8", newline="")
            return f"{folder.name}/{name}"

        with path.open("w", encoding="utf-8", newline="") as file, TemporaryFile("w+") as inline:
            _write_page(record, file, inline, save, self.shows_thumbnails)

    def folder_beside(self, report: Path) -> Path:
        """The folder that holds the chunks of a large report."""
        return report.with_name(f"{report.stem}_files")

    def remove_stale(self, report: Path) -> None:
        """Remove chunks that the page in place does not name, and a folder that is empty then.

        Raises:
            OutputError: one can't be removed.
        """
        folder = self.folder_beside(report)
        if not folder.is_dir():
            return
        path = folder
        try:
            for path in _stale_chunks(folder, report):
                path.unlink()
        except OSError as error:
            raise OutputError(
                f"can't remove {path}, a part of the page that {report.name} replaces: {error.strerror}",
                "The new page is complete. Remove the file: it holds what the earlier page showed.",
            ) from error
        with suppress(OSError):  # somebody's files are there
            folder.rmdir()

    def recognises(self, head: bytes) -> bool:
        """By its first lines."""
        return _START.match(head) is not None

    def rows(self, lines: Iterator[str]) -> Iterator[ReportRow]:
        """The rows of the index; their number must be what its start states, and the page must be whole."""
        return reading.report_rows(lines)

    def results(self, lines: Iterator[str]) -> Iterator[StatedResult]:
        """The same with what two runs may differ in."""
        return reading.stated_results(lines)


def _stale_chunks(folder: Path, report: Path) -> list[Path]:
    """Chunks that the page in place does not name, and what a killed run left of some."""
    page = report.read_text(encoding="utf-8", errors="replace")
    current = set(_CHUNK_FILE.findall(page))
    return [
        path
        for path in folder.iterdir()
        if (_CHUNK_FILE.fullmatch(path.name) and path.name not in current)
        or _PARTIAL_CHUNK.fullmatch(path.name)
    ]


def _write_page(record: RunRecord, file: TextIO, inline: IO[str], save: ChunkSink, images: bool) -> None:
    """Write the page: its head, the index, then the chunks that it holds itself.

    The head states counts of evidence, so the index, which needs all results, is written first, and aside.
    """
    header, counts = record.header(), record.counts()
    title, strings = page_title(header), page_strings()
    with TemporaryFile("w+", encoding="utf-8", newline="") as index:
        written = _write_index(record, header, index, save, images)
        file.write(
            Template(page_part("page.html")).substitute(
                number=REPORT_FORMAT_NUMBER,
                policy=_policy(),
                title=text(title),
                style=page_part("page.css"),
                short=text(strings["short"]),
                head=head(header, counts, written.evidence, strings, record.selection(), written.said),
            )
        )
        _copy(index, file)
    file.write(f"<noscript>{static_table(written.first_rows, len(header.models) > 1)}</noscript>\n")
    _copy(inline, file)
    file.write(_data_block("chunk-files", ijson_text(written.chunk_files)))
    file.write(_data_block("strings", ijson_text(strings)))
    file.write(f"<script>{_script()}</script>\n</body>\n{reading.END}")


def _copy(source: IO[str], target: TextIO) -> None:
    source.seek(0)
    while part := source.read(1 << 20):
        target.write(part)


@dataclass
class _Written:
    """What is known once the index is written.

    Attributes:
        evidence: number of images per word.
        said: what files say of their origin.
        first_rows: results of the table for browsers without scripts.
        chunk_files: the file of each chunk, None if the page holds it.
    """

    evidence: Counter[str] = field(default_factory=Counter)
    said: SaidCount = field(default_factory=SaidCount)
    first_rows: list[ScanResult] = field(default_factory=list)
    chunk_files: list[str | None] = field(default_factory=list)


def _write_index(
    record: RunRecord, header: RunHeader, file: IO[str], save: ChunkSink, images: bool
) -> _Written:
    """Write the index, and each chunk as soon as it is full."""
    strings, written = StringTable(), _Written()
    start: dict[str, object] = {
        "format": REPORT_FORMAT_NUMBER,
        "report_id": _report_id(header),
        "columns": COLUMN_NAMES,
        "indexed": REPEATING_COLUMNS,
        "chunk_rows": CHUNK_ROWS,
        "rows_stated": num_rows(record),
        "pending": record.counts().pending,
        "crops": MOST_CROPS,
        "images": images,
        "run": header.to_dict(),
    }
    if selection := record.selection():
        start["selection"] = asdict(selection)
    file.write(reading.INDEX_START + "\n" + _embedded(ijson_text(start))[:-1] + ', "rows": [')
    results, separator = record.ranked(), "\n"
    for number in range(num_rows(record) // CHUNK_ROWS + 1):
        chunk = list(islice(results, CHUNK_ROWS))
        for result in chunk:
            file.write(separator + _embedded(ijson_text(index_row(result, strings))))
            separator = ",\n"
            written.said.add(result)
            written.evidence.update([score.evidence] if (score := result.strongest) else [])
        if chunk:
            written.chunk_files.append(save(number, _chunk_text(chunk, record, images)))
        written.first_rows += chunk[: _STATIC_ROWS - len(written.first_rows)]
    patterns = {"unsafe": UNSAFE_CHARACTERS, "formula": FORMULA_STARTS, "escape": ESCAPE_PATTERN}
    texts = _embedded(ijson_text(strings.texts()))
    file.write(f'\n], "strings": {texts}, "patterns": {_embedded(json.dumps(patterns))}}}</script>\n')
    return written


def _chunk_text(results: list[ScanResult], record: RunRecord, images: bool) -> str:
    """What the evidence pages of some images need, with small images if they are shown, as JSON."""
    entries = []
    for result in results:
        entry = f'{{"result": {ijson_text(result_object(result))}'
        for name, webp in _small_images(result, record) if images else ():
            entry += f', "{name}": "{base64.b64encode(webp).decode()}"'
        look = record.closer_look(str(result.facts.sha256)) if result.scores else None
        if look is not None and result.agrees_with(look):
            entry += f', "map": {ijson_text(_map_object(look, images))}'
        if result.localization is not None:
            entry += f', "regions": {ijson_text(_regions_object(result, record, images))}'
        entries.append(entry + "}")
    return f"[{', '.join(entries)}]"


def _small_images(result: ScanResult, record: RunRecord) -> Iterator[tuple[str, bytes]]:
    """The thumbnail, the crop with the highest score, and a preview of another image, of what has them."""
    score, sha256 = result.strongest_of_crops, result.facts.sha256
    if not result.scores or sha256 is None:
        return
    if small := record.thumbnail(sha256):
        yield "thumbnail", small
    if score and score.highest_crop and (crop := record.crop(sha256, score.highest_crop)):
        yield "crop", crop
    if second := record.second_image(sha256):
        yield "second", second


def _map_object(look: CloserLook, images: bool) -> JsonObject:
    """A closer look as the evidence page shows it: the drawn maps, and their figures for words.

    Args:
        images: whether small images are shown; else a drawing that shows the image is left out, too.
    """
    figures = [
        {
            "model": each.model,
            "threshold": each.threshold,
            "windows": each.windows,
            "side": each.side,
            "judged": len(each.judged()),
            "above": each.above,
            "stride": each.stride,
            "highest": each.highest,
            "made_by": each.made_by,
        }
        for each in look.maps
    ]
    shown = images or not look.has_image
    return {"png": base64.b64encode(look.png).decode() if shown else None, "figures": figures}


def _regions_object(result: ScanResult, record: RunRecord, images: bool) -> JsonObject:
    """What a localizer made of an image as the evidence page shows it: words, and drawings if images show."""
    made = result.localization
    assert made is not None
    kept = record.localization(str(result.facts.sha256)) if images else None
    drawings = (kept.image, kept.drawing) if kept else ()
    finding, _, figures = made.in_words().partition(": ")
    return {
        "finding": finding,
        "figures": figures,
        "how": f"{made.localizer} ({made.digest}): {made.how_in_words()}. {made.made_by}"
        if made.made_by
        else "",
        "drawings": [base64.b64encode(drawing).decode() for drawing in drawings if drawing],
    }


class _TooLarge(Exception):
    """The chunks are larger than a page of one file may be."""


@dataclass
class _Inline:
    """Keeps chunks for the page itself.

    Attributes:
        file: gets them.
        most: bytes of all; None for any number.
    """

    file: IO[str]
    most: int | None
    _bytes: int = 0

    def keep(self, number: int, chunk: str) -> None:
        """A `ChunkSink`.

        Raises:
            _TooLarge: they have more bytes.
        """
        self._bytes += len(chunk)  # it is ASCII
        if self.most is not None and self._bytes > self.most:
            raise _TooLarge
        self.file.write(_data_block(f"chunk-{number}", chunk))


def _data_block(name: str, data: str) -> str:
    return f'<script type="application/json" id="{name}">{_embedded(data)}</script>\n'


def _embedded(data: str) -> str:
    """JSON that can't end the script element that holds it (HTML, 4.12.1.3); its text is ASCII already."""
    return data.replace("<", "\\u003c")


def _report_id(header: RunHeader) -> str:
    """What marks in a browser are kept under: the start of the run's first session, which a record keeps."""
    started = header.sessions[0].started if header.sessions else header.started
    return hashlib.sha256(str(started).encode()).hexdigest()[:16]


@cache
def _script() -> str:
    """All scripts as one function, so that no name of theirs is global."""
    parts = "\n".join(page_part(name) for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}\n}})();'


@cache
def _policy() -> str:
    """The page's Content Security Policy: nothing from elsewhere, no script or style but ours."""
    return (
        "default-src 'none'; img-src data:; "
        f"style-src '{csp_hash(page_part('page.css'))}'; script-src '{csp_hash(_script())}' 'self'; "
        "base-uri 'none'; form-action 'none'"
    )
