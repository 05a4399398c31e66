"""HTML reports of many rows: what writing them takes, and what a browser does with them.

    python benchmarks/html_report.py --sizes 1000 20000 100000 --out FILE

Each size is a record of made-up results with a thumbnail each. It measures the processor's time that writing
a row and a thumbnail takes, the bytes of the page and of the folder beside it, and in Chromium (playwright,
offline): seconds until the first rows stand, milliseconds of a sort, a search and a filter, rows in the
document, and the script's heap after garbage is collected. Times in the browser are medians of five.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from record import publish, stamp

from sidscan.journal import Journal
from sidscan.journal.keys import ReuseKeys
from sidscan.records import Exif, ImageInfo, Item, Kind, ModelRecord, RunHeader, ScanResult, Score, Status
from sidscan.reports import FormatOptions, output_for

_AT_ONCE = 5_000
_REPEATS = 5
_WORDS = ("weak", "moderate", "strong", "very strong")
_MEASURE = """async () => {
  const timed = async (action) => {
    const start = performance.now();
    action();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - start;
  };
  const choose = (select, value) => { select.value = value; select.dispatchEvent(new Event("change")); };
  const sort = document.querySelector("#tools select"), search = document.getElementById("search");
  const look = (words) => { search.value = words; search.dispatchEvent(new Event("input")); };
  const box = () => document.querySelector('#filters input[data-filter="evidence strong"]');
  const times = { sort: [], search: [], filter: [] };
  for (let i = 0; i < REPEATS; i++) {
    times.sort.push(await timed(() => choose(sort, i % 2 ? "rank" : "path")));
    times.search.push(await timed(() => look("7" + i)));
    look("");
    times.filter.push(await timed(() => box().click()));
    box().click();
  }
  return times;
}""".replace("REPEATS", str(_REPEATS))


def results(count: int) -> Iterator[ScanResult]:
    """Results as a scan of an archive has them: scores of all sizes, some thirty cameras, a few failures."""
    rng = np.random.default_rng(0)
    for index in range(count):
        logit = float(rng.normal(-2, 2))
        word = _WORDS[int(np.clip(logit, 0, 3))]
        name = f"archive/2024/{index // 1000:03d}/IMG_{index:06d}.jpg"
        exif = Exif(
            make="Maker", model=f"Model {index % 30}", original_date_iso=f"2024-05-{1 + index % 28:02d}"
        )
        info = ImageInfo(3_000_000 + index, f"{index:064x}", "JPEG", 4000, 3000, exif=exif)
        score = Score("mini", "abc", 0.7, 1 / (1 + np.exp(-logit)), logit, word, 0.1, 0.9, 0.1)
        yield ScanResult(
            name, Kind.FILE, Status.SCORED, info, "2026-01-01T00:00:00+00:00", scores=(score,), views=10
        )


def filled_journal(path: Path, count: int) -> Journal:
    """A record of that many results, each with a thumbnail."""
    journal, keys = Journal(path), ReuseKeys("score", "limits", "urls")
    journal.set_header(RunHeader(models=(ModelRecord("mini", "abc", 0.7),), inputs=("archive",)))
    journal.register_inputs((Item(result.name) for result in results(count)), keys)
    batch, small = [], thumbnails()
    for index, result in enumerate(results(count)):
        batch.append(result)
        if len(batch) == _AT_ONCE or index == count - 1:
            journal.append(
                batch, keys, {str(each.facts.sha256): small[i % len(small)] for i, each in enumerate(batch)}
            )
            batch = []
    return journal


def thumbnails() -> list[bytes]:
    """WebP files of the size that photographs have, some 2.5 kB."""
    rng, made = np.random.default_rng(1), []
    for _ in range(20):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC).save(file, "WEBP", quality=60)
        made.append(file.getvalue())
    return made


def browser_times(page_file: Path) -> dict[str, Any]:
    """What Chromium needs for the page."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--enable-precise-memory-info"]
        )
        context = browser.new_context(offline=True, viewport={"width": 1280, "height": 800})
        page = context.new_page()
        start = time.perf_counter()
        page.goto(page_file.as_uri())
        page.locator("#rows [data-place]").first.wait_for(timeout=60_000)
        ready = time.perf_counter() - start
        times = page.evaluate(_MEASURE)
        rows = page.locator("#rows [data-place]").count()
        context.new_cdp_session(page).send("HeapProfiler.collectGarbage")
        heap = page.evaluate("performance.memory.usedJSHeapSize")
        browser.close()
    medians = {f"{name}_ms": round(median(values), 1) for name, values in times.items()}
    return {"ready_s": round(ready, 2), **medians, "rows_drawn": rows, "heap_mb": round(heap / 1e6, 1)}


def written(journal: Journal, out: Path, options: FormatOptions) -> tuple[float, float]:
    """Seconds of the processor and of the clock that writing a report takes."""
    start, processor = time.perf_counter(), time.process_time()
    output_for(str(out), overwrite=True, options=options).write(journal)
    return time.process_time() - processor, time.perf_counter() - start


def measure(count: int, folder: Path) -> dict[str, Any]:
    """All figures of one size."""
    journal = filled_journal(folder / f"{count}.journal", count)
    out = folder / f"{count}.html"
    without, _ = written(journal, folder / "without.html", FormatOptions(html_thumbs="none"))
    processor, seconds = written(journal, out, FormatOptions())
    journal.close()
    beside = sum(path.stat().st_size for path in folder.glob(f"{count}_files/*"))
    return {
        "rows": count,
        "write_s": round(seconds, 2),
        "write_processor_us_per_row": round(1e6 * without / count, 1),
        "write_processor_us_per_thumbnail": round(1e6 * (processor - without) / count, 1),
        "page_mb": round(out.stat().st_size / 1e6, 2),
        "page_bytes_per_row": round(out.stat().st_size / count),
        "beside_mb": round(beside / 1e6, 1),
        **browser_times(out),
    }


def main() -> None:
    """Measure each size, print and record the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 20_000, 100_000])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sizes = []
        for count in options.sizes:
            sizes.append(measure(count, Path(folder)))
            print(sizes[-1], flush=True)
    publish({**stamp("html_report"), "sizes": sizes}, options.out)


if __name__ == "__main__":
    main()
