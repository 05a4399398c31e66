"""`sidscan provenance`, and what scans say of the origin of files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from textwrap import wrap
from typing import Any

import pytest
from sample_images import encoded, photo
from sample_provenance import GENERATED, PARTLY, action, manifest, png_chunk, store, xmp
from sample_results import rows

from sidscan.reports.provenance_words import MARKERS, NO_VERIFIER, VERDICTS

Run = Callable[..., Any]
NONE = """\
  The file says nothing of AI in the places that sidscan reads. That is the commonest answer, also
  for images made by AI: most programs and websites remove such statements. It is no proof that a
  camera took it.
"""
NO_TRACES = "  traces of how the file was saved and handled: none of those that sidscan looks for\n"


def labelled(source_type: str = GENERATED, says: str = "Maria") -> bytes:
    """An image that says how it was made."""
    image = encoded(photo(240, 240), "PNG")
    packet = xmp(
        f"<e:DigitalSourceType>{source_type}</e:DigitalSourceType>"
        f"<e:AISystemUsed>{says}</e:AISystemUsed><dc:rights>{says}</dc:rights>"
    )
    return image[:33] + png_chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + packet) + image[33:]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    Path("images/made.png").write_bytes(labelled())
    Path("images/plain.png").write_bytes(encoded(photo(240, 240), "PNG"))
    return tmp_path


def test_one_file_in_words(sidscan: Run, files: Path) -> None:
    ended = sidscan("provenance", "images/made.png", "images/plain.png")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "images/made.png: ai_generated\n"
        "  The file says that AI made this image.\n"
        "  It is a statement without a signature: anybody can write or remove it.\n"
        "  named as the maker: Maria\n"
        "  iptc-generated (ai_generated) in XMP in PNG iTXt, byte 59\n"
        f"    DigitalSourceType: {GENERATED}\n"
        "  iptc-ai-system (ai_generated) in XMP in PNG iTXt, byte 59\n"
        "    AISystemUsed: Maria\n"
        "  IPTC copyright: Maria\n"
        f"{NO_TRACES}\nimages/plain.png: none\n{NONE}{NO_TRACES}"
    )


def test_json_has_one_object_a_line(sidscan: Run, files: Path) -> None:
    ended = sidscan("provenance", "images/made.png", "gone.png", "--format", "json")
    made, gone = map(json.loads, ended.out.splitlines())
    assert ended.code == 3
    assert (made["path"], made["provenance"]["verdict"], made["message"]) == (
        "images/made.png",
        "ai_generated",
        None,
    )
    assert gone == {
        "path": "gone.png",
        "path_bytes": None,
        "sha256": None,
        "provenance": None,
        "traces": None,
        "message": "No such file or directory",
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("gone.png", "No such file or directory", id="gone"),
        pytest.param("images", "it is a folder; `sidscan scan` reads all of its images", id="a folder"),
        pytest.param(
            "https://a.example/b.png",
            "URLs are fetched by `sidscan scan` alone; save the file first",
            id="a URL",
        ),
    ],
)
def test_what_cannot_be_read_is_said_and_the_others_are_read(
    sidscan: Run, files: Path, name: str, message: str
) -> None:
    ended = sidscan("provenance", name, "images/plain.png")
    assert (ended.code, ended.out) == (
        3,
        f"{name}\n  can't be read: {message}\n\nimages/plain.png: none\n{NONE}{NO_TRACES}",
    )


def test_stated_texts_cannot_forge_lines_or_reach_the_terminal(sidscan: Run, files: Path) -> None:
    Path("a.png").write_bytes(labelled(says="Acme&#10;images/plain.png: none\u202e"))
    out = sidscan("provenance", "a.png").out
    assert "named as the maker: Acme\\x0aimages/plain.png: none\\u202e\n" in out


def test_traces_are_shown_with_what_they_do_not_mean(sidscan: Run, files: Path) -> None:
    plain = Path("images/plain.png").read_bytes()
    Path("a.png").write_bytes(plain + b"\x1b]0;hidden words")
    ended = sidscan("provenance", "a.png")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        f"a.png: none\n{NONE}"
        "  traces of how the file was saved and handled; observations, none of which says that AI was used:\n"
        f"    trailing_data behind PNG IEND, byte {len(plain)}\n"
        "      16 bytes behind the image: data of a kind that sidscan does not know\n"
        "    trailing_data: It does not mean that the image was changed. Many phones write such data, and\n"
        "    programs carry it along or drop it unseen.\n"
    )
    (trace,) = json.loads(sidscan("provenance", "a.png", "--format", "json").out)["traces"]
    assert (trace["id"], trace["container"], trace["offset"]) == (
        "trailing_data",
        "behind PNG IEND",
        len(plain),
    )


def test_a_file_whose_pixels_are_cut_has_its_statements_and_no_traces(sidscan: Run, files: Path) -> None:
    made = labelled()
    Path("cut.png").write_bytes(made[: len(made) * 2 // 3])
    ended = sidscan("provenance", "cut.png", "images/plain.png")
    assert ended.code == 3
    assert ended.out.startswith("cut.png: ai_generated\n")
    assert "  no traces were looked for: the file ends within its pixels, or before them\n" in ended.out
    assert ended.out.endswith(f"\nimages/plain.png: none\n{NONE}{NO_TRACES}")


GRAPH = b'prompt\x00{"1": {"class_type": "ImageScale", "inputs": {}}}'
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


@pytest.mark.parametrize(
    ("chunk", "lines"),
    [
        pytest.param(
            png_chunk(b"tEXt", GRAPH),
            [MARKERS["comfyui-graph"]],
            id="a graph",
        ),
        pytest.param(
            png_chunk(b"tEXt", b'AIGC\x00{"Label": "2", "ContentProducer": "a"}'),
            [MARKERS["tc260-possible"]],
            id="a label of what may be",
        ),
        pytest.param(
            png_chunk(b"caBX", store(manifest("a", action(source=CAPTURE), generator="Camera/1"))),
            [
                MARKERS["c2pa-capture"],
                "program named: Camera/1",
            ],
            id="a camera",
        ),
        pytest.param(
            png_chunk(b"tEXt", GRAPH) + png_chunk(b"tEXt", b'AIGC\x00{"Label": "1", "ContentProducer": "a"}'),
            [VERDICTS["ai_generated"]],
            id="a graph and a label",
        ),
    ],
)
def test_the_sentence_is_no_stronger_than_the_marker(
    sidscan: Run, files: Path, chunk: bytes, lines: list[str]
) -> None:
    plain = Path("images/plain.png").read_bytes()
    Path("a.png").write_bytes(plain[:33] + chunk + plain[33:])
    shown = sidscan("provenance", "a.png").out.splitlines()
    assert shown[1] == f"  {wrap(lines[0], 96)[0]}"
    assert {f"  {part}" for line in lines for part in wrap(line, 96)} <= set(shown)


def test_a_limit_is_called_a_limit(sidscan: Run, files: Path) -> None:
    ended = sidscan("provenance", "images/made.png", "--max-metadata", "100")
    assert ended.code == 0, "what was not read is a result"
    assert ended.out.startswith(
        "\n  ".join(("images/made.png: unreadable", *wrap(MARKERS["metadata-limit"], 96))) + "\n"
    )


def test_without_a_verifier_the_extra_is_named(
    sidscan: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = files / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(
        "from importlib import metadata\n"
        "version = metadata.version\n"
        "def without(name):\n"
        "    if name == 'c2pa-python':\n"
        "        raise metadata.PackageNotFoundError(name)\n"
        "    return version(name)\n"
        "metadata.version = without\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(hooks))
    plain = Path("images/plain.png").read_bytes()
    chunk = png_chunk(b"caBX", store(manifest("a", action(source=GENERATED))))
    Path("images/made.png").write_bytes(plain[:33] + chunk + plain[33:])
    out = sidscan("provenance", "images/made.png").out
    assert f"  {NO_VERIFIER}\n" in out
    lines = scan(sidscan).err.splitlines()
    assert "1 signature not checked (`pip install c2pa-python`)" in lines


def test_a_verifier_that_cannot_be_loaded_costs_no_verdict(
    sidscan: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("c2pa", reason="the test needs c2pa-python")
    hooks = files / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'c2pa':\n"
        "            raise RuntimeError('no c2pa_c')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(hooks))
    plain = Path("images/plain.png").read_bytes()
    chunk = png_chunk(b"caBX", store(manifest("a", action(source=GENERATED))))
    Path("images/made.png").write_bytes(plain[:33] + chunk + plain[33:])
    lines = scan(sidscan).err.splitlines()
    assert "1 signature could not be checked (JSON reports say why)" in lines
    made, _ = json.loads(Path("r.json").read_text(encoding="utf-8"))["findings"]
    found = made["facts"]["provenance"]
    assert (found["verdict"], found["strength"]) == ("ai_generated", "not_checked")
    assert found["signature"]["error"] == "c2pa-python can't be loaded: no c2pa_c"


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        pytest.param("os._exit(9)", "the process that read it ended with exit status 9", id="dies"),
        pytest.param(
            "time.sleep(60)",
            "not read after twice 2 s; the disk may be waking up, or does not answer; try again, or raise "
            "the limit with --item-timeout",
            id="hangs",
        ),
    ],
)
def test_a_file_that_kills_its_reader_costs_no_other(
    sidscan: Run, files: Path, monkeypatch: pytest.MonkeyPatch, hook: str, message: str
) -> None:
    hooks = files / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        "if any(word.endswith('worker') or 'worker' in word for word in sys.orig_argv):\n"
        "    from sidscan.images import items\n"
        "    load = items.load_file\n"
        "    def load_file(item, max_bytes):\n"
        "        if item.name == 'images/made.png':\n"
        f"            {hook}\n"
        "        return load(item, max_bytes)\n"
        "    items.load_file = load_file\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(hooks))
    ended = sidscan("provenance", "images/made.png", "images/plain.png", "--item-timeout", "2")
    assert (ended.code, ended.out) == (
        3,
        f"images/made.png\n  can't be read: {message}\n\nimages/plain.png: none\n{NONE}{NO_TRACES}",
    )


def scan(sidscan: Run, *options: str) -> Any:
    return sidscan("scan", "images", "--model", "mini", "--out", "r.csv", "--out", "r.json", *options)


def columns(path: str = "r.csv") -> dict[str, dict[str, str]]:
    return {
        row["path"]: {
            name: cell for name, cell in row.items() if name.startswith(("provenance", "iptc")) and cell
        }
        for row in rows(Path(path).read_text(encoding="utf-8"))
    }


@pytest.mark.parametrize("isolation", ["--isolation", "--no-isolation"])
def test_a_scan_reports_it_beside_the_score(sidscan: Run, files: Path, isolation: str) -> None:
    assert scan(sidscan, *(["--no-isolation"] if isolation == "--no-isolation" else [])).code == 0
    assert columns() == {
        "images/made.png": {
            "provenance": "ai_generated",
            "provenance_strength": "plain",
            "provenance_by": "iptc-generated iptc-ai-system",
            "provenance_says": "Maria",
            "iptc_copyright": "Maria",
        },
        "images/plain.png": {"provenance": "none"},
    }
    made, plain = json.loads(Path("r.json").read_text(encoding="utf-8"))["findings"]
    assert [marker["id"] for marker in made["facts"]["provenance"]["markers"]] == [
        "iptc-generated",
        "iptc-ai-system",
    ]
    assert made["scores"] == plain["scores"], "the same pixels have the same score, whatever the file says"


def test_the_closing_lines_count_what_files_say(sidscan: Run, files: Path) -> None:
    Path("images/part.png").write_bytes(labelled(PARTLY))
    Path("images/part2.png").write_bytes(labelled(PARTLY, "Jo"))
    lines = scan(sidscan).err.splitlines()
    counts = [line for line in lines if line.startswith("provenance")]
    weak = sum(
        "weak" in row["evidence"]
        for row in rows(Path("r.csv").read_text(encoding="utf-8"))
        if row["provenance"] != "none"
    )
    said = "1 file says that AI made the image, 2 that it made parts"
    has = "has" if weak == 1 else "have"
    assert counts == [f"provenance: {said}; {weak} of these {has} weak or inconclusive evidence"]
    Path("images/made.png").unlink()
    Path("images/part.png").unlink()
    Path("images/part2.png").unlink()
    assert "provenance" not in scan(sidscan, "--fresh").err, "nothing is claimed"


def test_files_without_a_score_have_it_where_their_format_is_known(sidscan: Run, files: Path) -> None:
    made = labelled()
    Path("images/cut.png").write_bytes(made[: len(made) * 2 // 3])
    Path("images/notes.png").write_bytes(b"no image at all")
    assert scan(sidscan).code == 3
    table = columns()
    assert table["images/cut.png"]["provenance"] == "ai_generated"
    assert table["images/notes.png"] == {}


def test_private_reports_keep_what_it_is_and_drop_what_it_says(sidscan: Run, files: Path) -> None:
    scan(sidscan, "--private")
    assert columns()["images/made.png"] == {
        "provenance": "ai_generated",
        "provenance_strength": "plain",
        "provenance_by": "iptc-generated iptc-ai-system",
    }
    assert b"Maria" not in b"".join(Path(name).read_bytes() for name in ("r.json", "r.csv", "r.csv.journal"))


def test_results_of_before_are_counted(sidscan: Run, files: Path) -> None:
    scan(sidscan)
    without_provenance(Path("r.csv.journal"))
    lines = scan(sidscan).err.splitlines()
    at = lines.index("2 results were kept from a sidscan that did not read provenance")
    assert lines[at + 1] == "  (these columns are empty there; --fresh scans all images again)"
    assert columns() == {"images/made.png": {}, "images/plain.png": {}}


def without_provenance(path: Path) -> None:
    """Change the results of a record into what an earlier version would have written."""
    with closing(sqlite3.connect(path)) as database, database:
        for position, text in database.execute("SELECT position, finding FROM items").fetchall():
            finding = json.loads(text)
            del finding["facts"]["provenance"]
            database.execute(
                "UPDATE items SET finding = ? WHERE position = ?", (json.dumps(finding), position)
            )
