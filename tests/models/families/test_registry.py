"""Families register themselves; those of other packages are loaded through their entry points."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from sample_images import folder

from sidscan.errors import ModelError
from sidscan.models import families
from sidscan.models.catalog import CATALOG, CatalogEntry
from sidscan.models.families import DetectorFamily, HeadFamily, all_families, detector_family, find_family

EXAMPLE = Path(__file__).parents[3] / "examples" / "third_party_detector"
FILES = Path(families.__file__).parent


def test_every_file_of_the_folder_registers_a_family() -> None:
    names = {path.stem for path in FILES.glob("*.py")} - {"__init__"}
    modules = {type(family).__module__.rpartition(".")[2] for family in all_families().values()}
    assert names <= modules


def test_the_catalog_contains_what_families_registered() -> None:
    entries = {entry.name: entry for family in all_families().values() for entry in family.entries}
    assert dict(CATALOG) == entries
    assert all(CATALOG[name].family in all_families() for name in CATALOG)


def test_encoders_are_listed_after_detectors() -> None:
    kinds = [entry.kind for entry in CATALOG.values()]
    assert kinds == sorted(kinds)


@pytest.mark.parametrize("name", ["rine", "linear", "fpn"])
def test_heads_of_checkpoints_are_families(name: str) -> None:
    assert isinstance(find_family(name), HeadFamily)


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no kind of detector is called 'nope'") as refused:
        find_family("nope")
    assert refused.value.remedy.startswith("Known are mini, ")


def test_an_encoder_is_not_a_detector() -> None:
    with pytest.raises(ModelError, match="clip is a kind of encoder, not of detector"):
        detector_family("clip")


class Named(DetectorFamily):
    name = "mini"

    def networks(self, tensors: object, encoder: object) -> object:  # type: ignore[override]
        raise AssertionError("never loaded")


class NamesAModelTwice(Named):
    name = "new"
    entries: ClassVar[tuple[CatalogEntry, ...]] = (CATALOG["mini"],)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("family", "name"),
    [pytest.param(Named, "mini", id="family"), pytest.param(NamesAModelTwice, "mini", id="model")],
)
def test_a_name_cannot_be_registered_twice(family: type[DetectorFamily], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is registered already"):
        families.register(family)
    assert "new" not in all_families()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a program in which the example package is installed."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for path in sorted(EXAMPLE.rglob("*")):  # a copy: building leaves files in the source folder
        if path.is_file() and "__pycache__" not in path.parts:
            copy = source / path.relative_to(EXAMPLE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(target), str(source)], check=True, timeout=120)
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(target), os.environ.get("PYTHONPATH", "")))}


def sidscan_with(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sidscan", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_detector_of_another_package_is_listed_without_torch(installed: dict[str, str]) -> None:
    code = (
        "import sys; from sidscan.models.catalog import CATALOG\n"
        "assert CATALOG['sharpness'].family == 'sharpness'; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=installed, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_detector_of_another_package_names_it_and_nothing_that_was_not_measured(
    installed: dict[str, str],
) -> None:
    shown = sidscan_with(installed, "models", "show", "sharpness", "--json")
    stated = json.loads(shown.stdout)
    assert (stated["source"], stated["metrics"]) == ("comes with sidscan-sharpness", None)
    pulled = sidscan_with(installed, "models", "pull", "sharpness", "--url", "http://x")
    assert (pulled.returncode, pulled.stderr) == (
        2,
        "sidscan: sharpness comes with sidscan-sharpness, and --url has nothing to fetch\nLeave --url out.\n",
    )


def test_a_detector_of_another_package_scores(installed: dict[str, str], tmp_path: Path) -> None:
    images, out = folder(tmp_path / "images", count=2), tmp_path / "r.json"
    done = sidscan_with(
        installed, "scan", str(images), "--model", "sharpness", "--model", "mini", "--out", str(out)
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text(encoding="utf-8"))
    for result in report["findings"]:
        assert [score["model"] for score in result["scores"]] == ["sharpness", "mini"]


def test_a_package_that_cannot_be_loaded_is_named_and_skipped(tmp_path: Path) -> None:
    (tmp_path / "broken_detector.py").write_text("raise RuntimeError('not today')\n", encoding="utf-8")
    info = tmp_path / "broken_detector-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: broken-detector\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        "[sidscan.detectors]\nbroken = broken_detector\n", encoding="utf-8"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = sidscan_with(environment, "models", "list")
    assert done.returncode == 0
    assert "the detectors of broken_detector can't be loaded: not today" in done.stderr
    assert "mini" in done.stdout


def test_the_current_folder_brings_no_detectors(tmp_path: Path) -> None:
    """In a notebook and with ``python -c`` Python searches the current folder, which may be the archive."""
    (tmp_path / "planted.py").write_text("print('planted code ran')\n", encoding="utf-8")
    info = tmp_path / "planted-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[sidscan.detectors]\nplanted = planted\n", encoding="utf-8")
    code = "from sidscan.models.catalog import CATALOG; print(len(CATALOG) > 5)"
    for search in ("", os.curdir, str(tmp_path)):
        environment = {**os.environ, "PYTHONPATH": search}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "True\n"
