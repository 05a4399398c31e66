"""Exported localizers: the same maps as PyTorch's, and files that are refused."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sample_graphs import ExportedGraphs
from sample_images import folder
from sample_localizers import SampleLocalizer, write_localizer

from sidscan.cli import cli
from sidscan.errors import DigestMismatch, ModelError, RuntimeUnavailable, UsageError
from sidscan.exporters import localizers as exporting
from sidscan.models.localizers import TileSpec
from sidscan.models.onnx_graph import SEAL_BYTES, seal
from sidscan.runtimes.localizers import open_localizer
from sidscan.runtimes.onnx import OnnxRuntime
from sidscan.runtimes.onnx_localizer import OnnxLocalizer

Run = Callable[..., Any]


class Exported(NamedTuple):
    """A localizer's files, its graph, and what the command that made it printed."""

    sample: SampleLocalizer
    graph: Path
    told: str


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    place = tmp_path_factory.mktemp("localizer")
    sample = write_localizer(place)
    graph = place / "map.onnx"
    command = ("export-onnx", "--model", sample.model, "--encoder", sample.encoder, "--out", graph)
    ended = CliRunner().invoke(cli, [*map(str, command)], standalone_mode=False)
    assert ended.exception is None, ended.output
    return Exported(sample, graph, ended.stderr)


def _tiles(count: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, 256, 256, 3), dtype=np.uint8)


def test_maps_equal_pytorchs(exported: Exported) -> None:
    model, encoder = exported.sample
    theirs = open_localizer(model, encoders=[encoder], device="cpu", precision="fp32")
    ours = open_localizer(exported.graph, device="cpu")
    tiles = _tiles(7)
    expected, maps = theirs.maps(tiles), ours.maps(tiles)
    assert maps.shape == (7, 256, 256)
    assert maps.dtype == np.float32
    assert expected.std() > 0.01
    assert np.abs(maps - expected).max() <= 1e-5
    whole = _tiles(1)[:, :200, :120]
    assert np.abs(ours.maps(whole) - theirs.maps(whole)).max() <= 1e-5


@pytest.mark.parametrize("decoder", ["attention", "conv-4"])
def test_every_decoder_is_exported(decoder: str, tmp_path: Path) -> None:
    """`test_maps_equal_pytorchs` has the linear one; conv-12 and conv-20 are more of the same layers."""
    model, encoder = write_localizer(tmp_path, decoder=decoder)
    path = exporting.export_localizer([str(model)], tmp_path / "map.onnx", encoders=[encoder])
    theirs = open_localizer(model, encoders=[encoder], device="cpu", precision="fp32")
    tiles = _tiles(2)
    expected, maps = theirs.maps(tiles), open_localizer(path, device="cpu").maps(tiles)
    assert expected.std() > 0.001
    assert np.abs(maps - expected).max() <= 1e-5


def test_localize_by_a_graph_gives_the_same_row(sidscan: Run, exported: Exported, tmp_path: Path) -> None:
    """From the command line: the graph, and the checkpoint that it was made of."""
    image, rows = tmp_path / "image.png", []
    Image.fromarray(_tiles(1)[0]).resize((600, 520)).save(image)
    model, encoder = exported.sample
    for number, options in enumerate([(exported.graph,), (model, "--encoder", encoder)]):
        report = tmp_path / f"{number}.csv"
        ended = sidscan("localize", image, "--detector", "mini", "--out", report, "--model", *options)
        assert ended.code == 0, ended.err
        assert f"  {('onnxruntime', 'pytorch')[number]} " in ended.err
        with report.open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file)
        rows.append(row)
    for column in ("map_protocol", "map_tiles", "map_scale", "map_threshold"):
        assert rows[0][column] == rows[1][column]
    for column in ("map_maximum", "map_p99", "map_area"):
        assert float(rows[0][column]) == pytest.approx(float(rows[1][column]), abs=1e-4)


def _restated(graph: Path, path: Path, **stated: Any) -> Path:
    """The same graph with other words of itself, and a seal that fits them."""
    import onnx

    model = onnx.load_model_from_string(graph.read_bytes()[:-SEAL_BYTES])
    (entry,) = (each for each in model.metadata_props if each.key == "sidscan")
    before = json.loads(entry.value)
    localizer = {**before["localizer"], **stated.pop("localizer", {})}
    entry.value = json.dumps({**before, "localizer": localizer, **stated})
    path.write_bytes(seal(model.SerializeToString()))
    return path


@pytest.mark.parametrize(
    "stated",
    [
        {"format": "sidscan localizer graph 9"},
        {"precision": "bf16"},
        {"surplus": 1},
        {"localizer": {"name": 3}},
        {"localizer": {"files": ["a"]}},
        {"localizer": {"threshold": float("nan")}},
        {"localizer": {"threshold": "0.5"}},
        {"localizer": {"alarm_area": 1.5}},
        {"localizer": {"alarm_contrast": float("inf")}},
        {"localizer": {"tile": {"side": 256, "read": 200, "stride": 128}}},
        {"localizer": {"tile": {"side": 224, "read": 224, "stride": 128}}},
        {"localizer": {"tile": {"side": 256, "read": 224, "stride": 300}}},
        {"localizer": {"tile": {"side": 256, "read": 224, "stride": 0}}},
        {"localizer": {"tile": {"side": 256, "read": 224}}},
    ],
    ids=str,
)
def test_graphs_that_say_something_else_are_refused(
    exported: Exported, tmp_path: Path, stated: dict[str, Any]
) -> None:
    path = _restated(exported.graph, tmp_path / "other.onnx", **stated)
    with pytest.raises(ModelError, match="is not an exported localizer"):
        OnnxLocalizer(path, "cpu")


def test_a_graph_that_gives_other_maps_than_it_states(exported: Exported, tmp_path: Path) -> None:
    """It declares a map for each tile, and gives one for all of them."""
    import onnx
    from onnx import helper

    stated = onnx.load_model_from_string(exported.graph.read_bytes()[:-SEAL_BYTES])
    nodes = [
        helper.make_node("Constant", [], ["side"], value_ints=[1, 256, 256]),
        helper.make_node("ConstantOfShape", ["side"], ["map"]),
    ]
    graph = helper.make_graph(nodes, "g", list(stated.graph.input), list(stated.graph.output))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model.metadata_props.extend(each for each in stated.metadata_props if each.key == "sidscan")
    path = tmp_path / "one.onnx"
    path.write_bytes(seal(model.SerializeToString()))
    with pytest.raises(ModelError, match=r"gives other maps than it states: \(1, 256, 256\)"):
        OnnxLocalizer(path, "cpu").maps(_tiles(4))


def test_the_file_describes_itself(exported: Exported) -> None:
    import onnx

    model, encoder = exported.sample
    sha256 = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (model, encoder)}
    info = OnnxLocalizer(exported.graph, "cpu").info
    assert info.files == sha256
    assert info.provenance == dict.fromkeys(sha256, "stated by map.onnx: file given by the user, exported")
    assert (info.name, info.licence) == ("localizer.safetensors", "Apache-2.0")
    assert (info.tile, info.threshold, info.alarm_area) == (TileSpec(256, 224, 128), 0.5, 0.02)
    graph = onnx.load(exported.graph)
    assert [output.name for output in graph.graph.output] == ["map"]
    stated = json.loads({entry.key: entry.value for entry in graph.metadata_props}["sidscan"])
    assert stated["parity"]["worst"]["map"] <= 1e-5
    assert stated["precision"] == "fp32"


def test_half_precision_is_gated_too(exported: Exported, tmp_path: Path) -> None:
    model, encoder = exported.sample
    path = exporting.export_localizer([str(model)], tmp_path / "half.onnx", "fp16", [encoder])
    assert path.stat().st_size < 0.7 * exported.graph.stat().st_size
    localizer, tiles = OnnxLocalizer(path, "cpu"), _tiles(2)
    assert localizer.runtime.precision == "fp16"
    difference = float(np.abs(localizer.maps(tiles) - OnnxLocalizer(exported.graph, "cpu").maps(tiles)).max())
    assert 0 < difference <= 5e-2


def test_the_command_exports_a_localizer(sidscan: Run, exported: Exported, tmp_path: Path) -> None:
    model, encoder = exported.sample
    out, lines = exported.graph, exported.told.splitlines()
    assert lines[0] == f"exporting {model} in fp32; this may take some minutes"
    assert re.fullmatch(
        r"largest difference of probabilities over 14 crops: map \S+; allowed 0\.001", lines[-2]
    )
    assert lines[-1] == f"graph: {out}, {out.stat().st_size:,} bytes"
    ended = sidscan("export-onnx", "--model", model, "--encoder", encoder, "--out", out)
    assert (ended.code, ended.err.splitlines()[0]) == (2, f"sidscan: {out} exists")
    ended = sidscan("export-onnx", "--model", model, "--model", "mini", "--out", tmp_path / "both.onnx")
    assert (ended.code, ended.err) == (2, "sidscan: a localizer is exported alone\nName one model.\n")


def test_a_scan_refuses_it(sidscan: Run, exported: Exported, tmp_path: Path) -> None:
    ended = sidscan("scan", folder(tmp_path / "images"), "--model", exported.graph)
    assert ended.code == 4
    assert f"sidscan: {exported.graph} is a localizer, which makes maps and gives no scores\n" in ended.err
    with pytest.raises(ModelError, match="is a localizer, which makes maps"):
        OnnxRuntime(exported.graph, "cpu")


def test_other_graphs_are_refused(exported: Exported, graphs: ExportedGraphs, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not an exported localizer"):
        open_localizer(graphs.fp32, device="cpu")
    changed = tmp_path / "changed.onnx"
    data = bytearray(exported.graph.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    with pytest.raises(DigestMismatch, match="was changed after its export"):
        open_localizer(changed, device="cpu")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"runtime": "pytorch"}, UsageError, "PyTorch can't run the exported graph"),
        ({"encoders": [Path("clip.safetensors")]}, UsageError, "an exported graph holds its encoder"),
        ({"precision": "fp16"}, RuntimeUnavailable, "map.onnx was exported in fp32, not fp16"),
        ({"precision": "bf16"}, RuntimeUnavailable, "exported graphs are fp32 or fp16"),
    ],
)
def test_wrong_requests(
    exported: Exported, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_localizer(exported.graph, **{"device": "cpu", **options})


def test_a_runtime_looks_for_graphs_of_the_catalog(exported: Exported) -> None:
    with pytest.raises(UsageError, match="--runtime onnx looks for models of the catalog"):
        open_localizer(exported.sample.model, runtime="onnx")
    with pytest.raises(ModelError, match="no exported graph of declip-ldm in fp32 or fp16 is in the models"):
        open_localizer("declip-ldm", runtime="onnx")
