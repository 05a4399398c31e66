"""`sidscan models show`: the facts of one model."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest

from sidscan.models.catalog import CATALOG

Run = Callable[..., Any]


NOTICE = str(CATALOG["clip-vit-b16"].notice)


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("mini", "mini.md", ""),
        (
            "rine-b16",
            "rine_b16.md",
            f"rine-b16 needs clip-vit-b16: `sidscan models pull rine-b16` installs it\n{NOTICE}\n",
        ),
        (
            "localizer-b16",
            "localizer_b16.md",
            f"localizer-b16 needs clip-vit-b16: `sidscan models pull localizer-b16` installs it\n{NOTICE}\n",
        ),
    ],
)
def test_the_card_of_a_bundled_model_is_its_text(sidscan: Run, name: str, file: str, said: str) -> None:
    ended = sidscan("models", "show", name, "--all")
    assert (ended.code, ended.err) == (0, said)
    assert ended.out == files("sidscan.weights").joinpath(file).read_text(encoding="utf-8")
    first = sidscan("models", "show", name)
    assert (first.code, first.err) == (0, f"`sidscan models show {name} --all` prints the whole card\n{said}")
    lines = first.out.splitlines()
    assert lines[0].startswith(f"# Model card: {name}")
    assert set(lines) <= set(ended.out.splitlines())
    assert any(line.startswith("- **Threshold**") for line in lines)
    assert len(lines) < 60
    assert not [line for line in lines if line.startswith(("## ", "<!--"))]


def test_the_list_names_the_encoder_that_a_bundled_head_lacks(sidscan: Run) -> None:
    lines = sidscan("models", "list").out.splitlines()
    assert {line.split("  ")[0]: "  bundled, needs clip-vit-b16  " in line for line in lines}["rine-b16"]
    rows = {row["name"]: row for row in json.loads(sidscan("models", "list", "--json").out)}
    assert (rows["rine-b16"]["installed"], rows["rine-b16"]["needs"]) == (True, "clip-vit-b16")
    assert (rows["mini"]["installed"], rows["mini"]["needs"]) == (True, None)
    assert rows["rine-4class"]["needs"] == "clip-vit-l14"


def test_verify_hashes_all_bundled_models(sidscan: Run) -> None:
    ended = sidscan("models", "verify")
    assert ended.code == 0
    checked = [line.split()[:2] for line in ended.out.splitlines()[1:]]
    assert checked == [["mini", "ok"], ["rine-b16", "ok"], ["localizer-b16", "ok"]]


def test_on_a_terminal_the_card_is_shown_page_by_page(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    monkeypatch.setattr("sidscan.cli.models.click.echo_via_pager", pages.append)
    monkeypatch.setattr("sidscan.cli.models._on_terminal", lambda: True)
    assert sidscan("models", "show", "mini", "--all").out == ""
    assert pages[0].startswith("# Model card")


@pytest.mark.parametrize("name", [name for name, entry in CATALOG.items() if entry.download_size])
def test_facts_of_a_published_model(sidscan: Run, name: str) -> None:
    entry = CATALOG[name]
    ended = sidscan("models", "show", name)
    assert ended.code == 0
    shown = dict(line.split("  ", 1) for line in ended.out.splitlines())
    shown = {key: value.strip() for key, value in shown.items()}
    assert (shown["name"], shown["licence"], shown["source"]) == (name, entry.licence, entry.origin.source)
    assert shown["installed"] == "no"
    if entry.is_pinned:
        assert shown["pin"].endswith(entry.pin.digest)
    else:
        assert shown["pin"] == "none is published: the first file that is installed will be pinned"
    assert ("threshold" in shown) == (entry.kind != "encoder")
    assert ("figures" in shown) == (entry.kind == "detector")
    if entry.metrics:
        assert shown["measured on"] == entry.metrics.about
    elif entry.kind == "detector":
        assert shown["figures"] == "its authors publish no accuracy with an average precision"
    if entry.encoder:
        assert shown["encoder"] == " and ".join(entry.encoders)


@pytest.mark.parametrize("name", CATALOG)
def test_json_equals_the_entry_of_the_list(sidscan: Run, name: str) -> None:
    shown = json.loads(sidscan("models", "show", name, "--json").out)
    rows = json.loads(sidscan("models", "list", "--json").out)
    assert shown in rows
    assert shown["name"] == name


def test_an_unknown_model_is_an_error(sidscan: Run) -> None:
    ended = sidscan("models", "show", "nope")
    assert ended.code == 4
    assert ended.err.startswith("sidscan: no model is called 'nope'\n`sidscan models list` shows them")
