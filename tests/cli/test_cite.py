"""`sidscan cite`: BibTeX of what a report, an evaluation, models and data sets are cited by."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, photo
from sample_localizers import write_localizer
from tiny_networks import random_head

from sidscan.models.catalog import CATALOG
from sidscan.models.checkpoints import Checkpoint
from sidscan.models.citations import SOFTWARE, papers_of_model
from sidscan.models.families import all_families
from sidscan.models.families.mini import MiniFamily
from sidscan.training.datasets.layouts import all_layouts
from sidscan.util.bibtex import Citation, bibliography, latex

Run = Callable[..., Any]
ROOT = Path(__file__).parents[2]
NEEDED = {
    "inproceedings": {"author", "title", "booktitle", "year"},
    "article": {"author", "title", "journal", "year"},
    "misc": {"author", "title", "year"},
}
NUMBERS = {"year": r"\d{4}", "pages": r"\d+--\d+", "volume": r"\d+", "number": r"\d+",
           "doi": r"10\.\d{4,}/\S+", "eprint": r"\d{4}\.\d{5}"}  # fmt: skip


def entries(text: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Kind, key and fields of every entry; fails on what BibTeX would not read."""
    position = 0
    while (start := text.find("@", position)) >= 0:
        head = re.compile(r"@(\w+)\{([a-z0-9]+),\n").match(text, start)
        assert head, text[start : start + 40]
        fields, position = {}, head.end()
        while field := re.compile(r"  (\w+) = \{").match(text, position):
            depth, end = 1, field.end()
            while depth:
                if text[end] in "{}" and text[end - 1] != "\\":
                    depth += 1 if text[end] == "{" else -1
                end += 1
            assert text[end : end + 2] == ",\n"
            assert field[1] not in fields
            fields[field[1]], position = text[field.end() : end - 1], end + 2
        assert text[position] == "}"
        yield head[1], head[2], fields


def all_citations() -> set[Citation]:
    of_models = {each for family in all_families().values() for each in family.papers}
    of_data = {each for layout in all_layouts().values() for each in layout.papers}
    return of_models | of_data | {SOFTWARE}


def test_every_entry_is_what_bibtex_reads() -> None:
    citations = sorted(all_citations(), key=lambda each: each.key)
    assert len({each.key for each in citations}) == len(citations)
    text = bibliography({"a@b\n@x": tuple(citations)}, ("one @misc{x, line\nor two",))
    assert text.isascii()
    found = list(entries(text.partition("\n\n")[2]))
    assert [(kind, key) for kind, key, _ in found] == [(each.kind, each.key) for each in citations]
    assert text.count("@") == len(citations)
    for kind, key, fields in found:
        assert NEEDED[kind] <= set(fields), key
        for name, value in fields.items():
            assert re.fullmatch(NUMBERS.get(name, r".+"), value), (key, name, value)
        assert all(name == "others" or name.startswith("{") or ", " in name
                   for name in fields["author"].split(" and ")), key  # fmt: skip


def test_every_model_and_published_layout_is_cited() -> None:
    assert not [name for name in CATALOG if not papers_of_model(name)]
    without = [name for name, layout in all_layouts().items() if not layout.papers]
    assert without == ["manifest", "parquet", "white-masks"]


@pytest.mark.parametrize(
    ("key", "stated"),
    [
        ("ojha2023ufd", ("{Towards Universal Fake Image Detectors That Generalize", "2023", "24480--24489")),
        ("radford2021clip", ("{Learning Transferable Visual Models From Natural", "2021", "8748--8763")),
        ("wang2020cnndetection", ("{CNN-Generated Images Are Surprisingly Easy", "2020", "8695--8704")),
        ("karras2019stylegan", ("{A Style-Based Generator Architecture for", "2019", "4401--4410")),
    ],
)
def test_entries_are_those_of_the_proceedings(key: str, stated: tuple[str, str, str]) -> None:
    ((_, _, fields),) = entries(next(each for each in all_citations() if each.key == key).bibtex() + "\n")
    assert (fields["title"].startswith(stated[0]), fields["year"], fields["pages"]) == (True, *stated[1:])


def test_sidscan_is_cited_as_its_citation_file_says() -> None:
    stated = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f'title: "{SOFTWARE.title}"' in stated
    assert f"  - name: {SOFTWARE.authors[0]}\n" in stated
    assert f'date-released: "{SOFTWARE.year}-' in stated
    assert f"\nurl: {SOFTWARE.url}\n" in stated


def test_letters_of_names_and_signs_of_latex_are_written_out() -> None:
    assert latex("Nießner, Țânțaru é ø\n 50% & a_b {c} ~^\\ <|> ï") == (
        r"Nie{\ss}ner, {\c{T}}{\^{a}}n{\c{t}}aru {\'{e}} {\o} 50\% \& a\_b \{c\} \textasciitilde{}"
        r"\textasciicircum{}\textbackslash{} \textless{}\textbar{}\textgreater{} {\"{\i}}"
    )


def test_a_report_an_evaluation_and_a_checkpoint_are_cited(sidscan: Run, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(photo(230, 230), "PNG"))
    assert sidscan("scan", tmp_path / "a.png", "--model", "mini", "--out", tmp_path / "r.json").code == 0
    ended = sidscan("cite", tmp_path / "r.json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(
        "% mini: koutlis2024rine\n% sidscan: sidscan\n\n@inproceedings{koutlis2024rine,"
    )

    evaluation = tmp_path / "results"
    evaluation.mkdir()
    lines = [
        "set,path,label,model,score",
        "web,0,real,ufd,0.1",
        "web,1,synthetic,ufd,1",
        "web,0,real,my.pt,0",
    ]
    (evaluation / "scores.csv").write_text("\n".join(lines), encoding="utf-8")
    (evaluation / "evaluation.json").write_text('{"layout": "synthbuster"}', encoding="utf-8")
    ended = sidscan("cite", evaluation)
    assert ended.out.splitlines()[:5] == [
        "% ufd: ojha2023ufd, radford2021clip",
        "% synthbuster: bammey2024synthbuster, dangnguyen2015raise",
        "% sidscan: sidscan",
        "% my.pt: not in the catalog; name its checkpoint, or cite who made it",
        "",
    ]
    assert sidscan("cite", evaluation / "scores.csv").out.startswith(
        "% ufd: ojha2023ufd, radford2021clip\n% sid"
    )

    state = dict(random_head(2, 64, 16, 2).state_dict())
    (tmp_path / "my.safetensors").write_bytes(
        Checkpoint(state, "rine", "clip-vit-b32", 64 * "0", 0.5, {}).to_bytes()
    )
    (tmp_path / "vit.pt").write_bytes(Checkpoint(state, "rine", "timm:x", 64 * "0", 0.5, {}).to_bytes())
    assert (
        "% vit.pt's encoder timm:x: not in the catalog; cite who made it\n"
        in sidscan("cite", tmp_path / "vit.pt").out
    )
    (tmp_path / "my.pt").write_bytes((tmp_path / "my.safetensors").read_bytes())
    ended = sidscan("cite", evaluation, tmp_path / "my.pt")
    assert "% my.pt: koutlis2024rine, radford2021clip\n" in ended.out
    assert "not in the catalog" not in ended.out, "a report's model is the checkpoint that is named beside it"
    ended = sidscan("cite", tmp_path / "my.safetensors", "parquet")
    assert ended.out.startswith(
        "% my.safetensors: koutlis2024rine, radford2021clip\n% sidscan: sidscan\n% parquet: "
    )


def test_a_localizer_is_cited_with_its_encoder(sidscan: Run, tmp_path: Path) -> None:
    ended = sidscan("cite", write_localizer(tmp_path).model)
    assert ended.code == 0, ended.err
    assert ended.out.startswith(
        "% localizer.safetensors: smeu2025declip\n% sidscan: sidscan\n"
        "% localizer.safetensors's encoder clip.safetensors: not in the catalog; cite who made it\n"
    )


def test_a_model_of_a_package_that_names_no_paper(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MiniFamily, "papers", ())
    assert "% mini: its package names no paper; cite who made it\n" in sidscan("cite", "mini").out


def test_what_files_of_strangers_name(sidscan: Run, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("set,model\na,\x1b[31mred @misc{x\n", encoding="utf-8")
    (tmp_path / "evaluation.json").write_text('{"layout": ["a"]}', encoding="utf-8")
    ended = sidscan("cite", tmp_path)
    assert ended.code == 0, ended.err
    assert "% \\x1b[31mred (at)misc{x: not in the catalog; " in ended.out
    (tmp_path / "scores.csv").write_bytes(b"set,model\na,\xff\n")
    ended = sidscan("cite", tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert "scores.csv can't be read as a file of scores: " in ended.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rin-4class", "Did you mean rine-4class?"),
        (".", "holds no scores.csv"),
        ("x.csv", "neither a report"),
    ],
)
def test_what_cannot_be_cited_is_an_error(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    ended = sidscan("cite", name)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
