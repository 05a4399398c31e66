"""The catalog of models: complete, consistent, and as documented."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sidscan.errors import ModelError, UnknownModel
from sidscan.models.abstention import Abstention
from sidscan.models.catalog import CATALOG, CatalogEntry, find_entry
from sidscan.models.families.rine import head_parameters
from sidscan.models.origins import Bundled, Metrics, Pin
from sidscan.models.shapes import EncoderShape, HeadShape
from sidscan.models.store import Store

PUBLISHED = {name: entry for name, entry in CATALOG.items() if entry.url and entry.is_pinned}
DOCS = Path(__file__).parents[2] / "docs" / "reference" / "models.md"


def test_the_models_of_0_2_0_keep_their_names_and_order() -> None:
    names = (
        *("mini", "rine-1class", "rine-2class", "rine-4class", "rine-ldm", "ufd"),
        *("clip-vit-l14", "clip-vit-b32"),
    )
    assert tuple(name for name in CATALOG if name in names) == names


@pytest.mark.parametrize("entry", PUBLISHED.values(), ids=PUBLISHED)
def test_published_entry_is_complete(entry: CatalogEntry) -> None:
    length = {"sha256": 64, "git-blob": 40}[entry.pin.algorithm]
    assert re.fullmatch(rf"[0-9a-f]{{{length}}}", entry.pin.digest)
    assert entry.url is not None
    assert entry.url.startswith("https://")
    assert entry.licence
    assert entry.provenance
    assert entry.size < entry.max_bytes < 1.5 * entry.size + 2**17
    if entry.kind == "detector":
        assert entry.encoder is None or CATALOG[entry.encoder].kind == "encoder"
        assert entry.threshold is not None
        assert 0 < entry.threshold < 1
        if entry.metrics:
            assert 0.5 < entry.metrics.accuracy <= 1
            assert 0.5 < entry.metrics.average_precision <= 1


def test_no_two_entries_share_a_pin() -> None:
    assert len({entry.pin for entry in PUBLISHED.values()}) == len(PUBLISHED)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("rine-1class", 10.52e6), ("rine-2class", 283_009), ("rine-4class", 6.32e6), ("rine-ldm", 10.52e6)],
)
def test_heads_have_the_published_number_of_parameters(name: str, parameters: float) -> None:
    shape = CATALOG[name].shape
    assert isinstance(shape, HeadShape)
    assert head_parameters(shape) == pytest.approx(parameters, rel=1e-3)


def test_parameter_counts_equal_those_of_the_module() -> None:
    from sidscan.models.heads.rine import RineHead

    shape = HeadShape(3, 16, 8, 3)
    assert head_parameters(shape) == sum(p.numel() for p in RineHead(3, 16, 8, 3).parameters())


def test_encoder_is_clip_vit_l14() -> None:
    assert CATALOG["clip-vit-l14"].shape == EncoderShape(24, 1024, 14, 257, 768)
    assert CATALOG["clip-vit-l14"].pin.digest in str(CATALOG["clip-vit-l14"].url)


def test_unknown_name() -> None:
    with pytest.raises(UnknownModel) as unknown:
        find_entry("nothing")
    assert str(unknown.value) == (
        f"no model is called 'nothing'\n`sidscan models list` shows them: {', '.join(CATALOG)}."
    )


@pytest.mark.parametrize(("name", "similar"), [("minii", "mini"), ("RINE-4CLASS", "rine-4class")])
def test_similar_names_are_suggested(name: str, similar: str) -> None:
    with pytest.raises(UnknownModel) as unknown:
        find_entry(name)
    assert unknown.value.remedy.startswith(f"Did you mean {similar}")
    assert unknown.value.remedy.endswith("? `sidscan models list` shows all.")


def test_bundled_model_facts_come_from_the_card(tmp_path: Path) -> None:
    card = {
        "sha256": "ab" * 32,
        "threshold": 0.4,
        "abstention": {"side": 9, "detail": 0.5, "quality": 3, "spread": 0.0},
        "metrics": {"accuracy": 0.8, "average_precision": 0.9, "about": "held-out"},
    }
    (tmp_path / "m.json").write_text(json.dumps(card))
    bundled = Bundled("m.safetensors", "m.json", tmp_path)
    assert bundled.path == tmp_path / "m.safetensors"
    assert bundled.pin == Pin("sha256", "ab" * 32)
    assert bundled.threshold == 0.4
    assert bundled.metrics == Metrics(0.8, 0.9, "held-out")
    assert bundled.abstention == Abstention(side=9, detail=0.5, quality=3)


def test_a_card_with_an_incomplete_abstention_rule_is_damaged(tmp_path: Path) -> None:
    card = {"sha256": "ab" * 32, "threshold": 0.4, "metrics": {}, "abstention": {"side": 9}}
    (tmp_path / "m.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="states no rule of abstention"):
        _ = Bundled("m.safetensors", "m.json", tmp_path).abstention


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "the card of the bundled model can't be read: {path}", id="missing"),
        pytest.param("{", "the card of the bundled model can't be read: {path}", id="cut-short"),
        pytest.param("[]", "the card of the bundled model can't be read: {path}", id="a-list"),
        pytest.param(
            '{"sha256": ""}',
            "the card of the bundled model lacks abstention, metrics, threshold: {path}",
            id="lacks",
        ),
    ],
)
def test_damaged_card(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "m.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelError) as damaged:
        _ = Bundled("m.safetensors", "m.json", tmp_path).threshold
    assert damaged.value.message == message.format(path=path)
    assert damaged.value.remedy == "Reinstall sidscan; this file is part of the package."


@pytest.mark.parametrize("name", ["mini", "rine-b16"])
def test_a_bundled_model_is_the_one_on_its_card(name: str) -> None:
    bundled = Store().require(name)
    assert 0 < bundled.size <= bundled.entry.max_bytes
    assert bundled.entry.threshold is not None
    assert 0 < bundled.entry.threshold < 1
    assert bundled.entry.metrics is not None
    assert 0.5 <= bundled.entry.metrics.accuracy <= 1


def test_light_imports() -> None:
    """`sidscan models list` must not wait for torch."""
    heavy = "{'torch', 'httpx', 'safetensors', 'open_clip', 'numpy', 'pandas'}"
    code = f"import sys, sidscan.cli.models; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_docs_show_the_table() -> None:
    rows = {cells[0].strip(" `"): cells for cells in _docs_rows() if cells[0].strip(" `") in CATALOG}
    assert list(rows) == list(CATALOG)
    for name, entry in CATALOG.items():
        if isinstance(entry.origin, Bundled):
            continue
        _, licence, pin, figures, source = (cell.strip(" `") for cell in rows[name])
        assert licence == entry.licence
        assert pin == (
            f"{entry.pin.label} `{entry.pin.digest}" if entry.is_pinned else "the first file installed"
        )
        if entry.metrics:
            assert (
                figures == f"{100 * entry.metrics.accuracy:.1f} / {100 * entry.metrics.average_precision:.1f}"
            )
        assert source == (f"<{entry.url}>" if entry.url else entry.origin.source)


def _docs_rows() -> list[list[str]]:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
