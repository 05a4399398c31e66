"""What is installed, by what packages state of themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sidscan import licences
from sidscan.cli import cli
from sidscan.licences import NOT_STATED, Component, cyclonedx, installed_components


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that is all there is."""
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    return tmp_path


def install(site: Path, name: str, *lines: str, body: str = "") -> None:
    folder = site / f"{name.replace('-', '_')}-1.0.dist-info"
    folder.mkdir()
    head = ("Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines)
    (folder / "METADATA").write_text("\n".join(head) + "\n" + body, encoding="utf-8")


@pytest.mark.parametrize(
    ("lines", "licence", "expression"),
    [
        pytest.param(
            ["License-Expression: MIT OR Apache-2.0", "License: no"], "MIT OR Apache-2.0", True, id="SPDX"
        ),
        pytest.param(["License: BSD"], "BSD", False, id="name"),
        pytest.param(
            [
                "License: Copyright of somebody",
                "        and all rights that they reserve",
                "Classifier: License :: OSI Approved :: MIT License",
            ],
            "MIT License",
            False,
            id="whole text, so the classifier counts",
        ),
        pytest.param(["License: UNKNOWN"], NOT_STATED, False, id="unknown"),
        pytest.param(
            ["Classifier: License :: OSI Approved"], NOT_STATED, False, id="classifier without a name"
        ),
        pytest.param([], NOT_STATED, False, id="nothing"),
    ],
)
def test_licence(site: Path, lines: list[str], licence: str, expression: bool) -> None:
    install(site, "sidscan", *lines)
    (found,) = installed_components()
    assert (found.licence, found.expression) == (licence, expression)


def test_what_is_needed_and_installed(site: Path) -> None:
    """Extras count where they are asked for, a circle ends, and what is for developers is left out."""
    install(
        site,
        "sidscan",
        "Provides-Extra: more",
        "Provides-Extra: dev",
        "Requires-Dist: Alpha.Beta[fast]>=1",
        "Requires-Dist: missing",
        "Requires-Dist: elsewhere; sys_platform == 'none'",
        "Requires-Dist: extra-package; extra == 'more'",
        "Requires-Dist: tool; extra == 'dev'",
    )
    install(
        site,
        "alpha-beta",
        "Provides-Extra: fast",
        "Provides-Extra: slow",
        "Requires-Dist: quick; extra == 'fast'",
        "Requires-Dist: idle; extra == 'slow'",
        "Requires-Dist: sidscan[more]",
        "Home-page: https://a.example",
        "Project-URL: Source, https://b.example",
    )
    for name in ("elsewhere", "extra-package", "tool", "quick", "idle", "unrelated"):
        install(site, name)
    found = installed_components()
    assert [each.name for each in found] == ["sidscan", "alpha-beta", "extra-package", "quick"]
    assert found[0].needs == ("alpha-beta", "extra-package")
    assert (found[1].needs, found[1].homepage) == (("quick",), "https://b.example")


@pytest.mark.parametrize(
    "there",
    [["onnxruntime"], ["onnxruntime-gpu"], ["onnxruntime", "onnxruntime-gpu"]],
    ids=["without PyTorch", "as stated", "both, which doctor reports"],
)
def test_the_onnxruntime_that_is_installed_counts(site: Path, there: list[str]) -> None:
    install(site, "sidscan", "Requires-Dist: onnxruntime-gpu")
    for name in there:
        install(site, name, "Requires-Dist: flatbuffers")
    install(site, "flatbuffers")
    found = installed_components()
    assert [each.name for each in found] == ["sidscan", "flatbuffers", *there]
    assert found[0].needs == tuple(there)


def test_bill_of_materials_names_each_component_once() -> None:
    found = installed_components()
    bill = cyclonedx(found)
    refs = [bill["metadata"]["component"]["bom-ref"], *(each.get("bom-ref") for each in bill["components"])]
    named = [ref for ref in refs if ref]
    assert len(named) == len(set(named)) == len(found)
    assert {"click", "torch", "pillow"} <= {each["name"] for each in bill["components"]}
    assert {ref for each in bill["dependencies"] for ref in (each["ref"], *each["dependsOn"])} == set(named)
    assert bill == cyclonedx(installed_components()), "the same each time"


def test_licences_of_a_bill() -> None:
    components = [
        Component("sidscan", "1", "Apache-2.0", True, needs=("b",)),
        Component("b", "2+cu1", "BSD License"),
        Component("c", "3", NOT_STATED),
    ]
    bill = cyclonedx(components)
    assert bill["metadata"]["component"]["licenses"] == [{"expression": "Apache-2.0"}]
    assert [each["licenses"] for each in bill["components"][:2]] == [
        [{"license": {"name": "BSD License"}}],
        [],
    ]
    assert bill["dependencies"][0] == {"ref": "pkg:pypi/sidscan@1", "dependsOn": ["pkg:pypi/b@2%2Bcu1"]}


@pytest.mark.parametrize("output_format", ["text", "json", "cyclonedx"])
def test_command(site: Path, output_format: str) -> None:
    install(site, "sidscan", "License-Expression: Apache-2.0", "Requires-Dist: a-long-name")
    install(site, "a-long-name", "License: BSD")
    result = CliRunner().invoke(cli, ["licences", "--format", output_format], standalone_mode=False)
    assert result.exception is None, result.exception
    if output_format == "text":
        lines = result.output.splitlines()
        assert lines[:2] == ["sidscan      1.0  Apache-2.0", "a-long-name  1.0  BSD"]
        assert lines[3:] == [
            "in the package sidscan itself:",
            "weights of mini and rine-b16: Apache-2.0",
            "trust lists of C2PA 2026-08-21: CC-BY-4.0",
            "outline of the world: public domain",
        ]
    else:
        found = json.loads(result.output)
        key = "installed" if output_format == "json" else "components"
        assert [each["name"] for each in found[key]][-1 if output_format == "json" else 0] == "a-long-name"


def test_bundled_data_are_those_that_the_package_names() -> None:
    """The trust lists' date is that of their own page."""
    page = (Path(licences.__file__).parent / "provenance" / "trust" / "README.md").read_text(encoding="utf-8")
    assert all(part in page for part in ("2026-08-21", "CC-BY-4.0"))
