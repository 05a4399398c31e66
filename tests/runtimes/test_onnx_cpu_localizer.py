"""The bundled localizer on a CPU: its graph gives PyTorch's maps, and no torch is loaded."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file, save_file

from sidscan.errors import ModelError, ModelNotInstalled, RuntimeUnavailable, UnknownModel
from sidscan.localize.image_map import make_map, plan_of
from sidscan.localize.tile_reader import TileReader
from sidscan.models.catalog import CATALOG
from sidscan.models.digests import hash_file
from sidscan.models.families.clip import encoder_sizes
from sidscan.models.graph_templates import (
    GraphLocalizer,
    WeightedGraph,
    load_localizer_graph,
    template_of,
    with_weights,
)
from sidscan.models.heads.decoder import Decoder, LocalizerNetwork
from sidscan.models.localizers import LoadedLocalizer, LocalizerInfo, TileSpec, load_localizer
from sidscan.models.origins import Bundled
from sidscan.models.shapes import EncoderShape
from sidscan.models.store import Store
from sidscan.runtimes import accelerators
from sidscan.runtimes.localizers import open_localizer
from sidscan.runtimes.onnx_cpu_localizer import OnnxCpuLocalizer
from sidscan.runtimes.precision_check import natural_crops
from sidscan.runtimes.pytorch_localizer import PyTorchLocalizer

Run = Callable[..., Any]
NAME, ENCODER = "localizer-b16", "clip-vit-b16"
BOUND = 1e-5  # largest |difference of probabilities|
WITHOUT_TORCH = """
import sys
sys.modules.update(dict.fromkeys(("torch", "open_clip", "torchvision", "onnx", "onnxscript")))
from sidscan.cli import main
main()
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a random encoder of the size that the localizer reads."""
    shape, folder = CATALOG[ENCODER].shape, tmp_path_factory.mktemp("models")
    assert isinstance(shape, EncoderShape)
    rng = np.random.default_rng(3)
    path = folder / "clip.safetensors"
    weights = {
        name: rng.standard_normal(size, np.float32) * 0.02 for name, size in encoder_sizes(shape).items()
    }
    weights |= _like_its_encoders(shape.embed_dim)
    save_file({f"visual.{name}": each.astype(np.float16) for name, each in weights.items()}, path)
    Store(folder / "store").import_file(path, ENCODER, hash_file(path, "sha256")["sha256"])
    path.unlink()
    return folder / "store"


def _like_its_encoders(width: int) -> dict[str, NDArray[np.float32]]:
    """What normalises before the first block, with tokens such as the localizer knows: maps are not flat."""
    origin = CATALOG[NAME].origin
    assert isinstance(origin, Bundled)
    decoder = load_file(origin.path)
    return {"ln_pre.weight": decoder["scale"][:width], "ln_pre.bias": decoder["mean"][:width]}


@pytest.fixture
def installed(models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIDSCAN_MODELS", str(models))
    monkeypatch.setattr(accelerators, "may_be_there", lambda: False)
    return models


def _image(path: Path) -> Path:
    Image.fromarray(natural_crops(2)[1]).resize((300, 260)).save(path)
    return path


def test_maps_are_pytorchs_and_no_torch_is_needed(sidscan: Run, installed: Path, tmp_path: Path) -> None:
    """The same image on the command line, by both."""
    assert installed.exists()
    image, rows = _image(tmp_path / "image.png"), {}
    for way in ("without", "with"):
        options = ("--detector", "mini", "--out-dir", tmp_path / way, "--out", tmp_path / f"{way}.csv")
        command = ("localize", image, *options)
        if way == "without":
            run = [sys.executable, "-c", WITHOUT_TORCH, *map(str, command)]
            ended = subprocess.run(run, capture_output=True, text=True, check=False)
            assert ended.returncode == 0, ended.stderr
            assert f"localizer: {NAME} (Apache-2.0)\n  onnxruntime " in ended.stderr
        else:
            ended = sidscan(*command, "--runtime", "pytorch", "--device", "cpu")
            assert ended.code == 0, ended.err
            assert f"localizer: {NAME} (Apache-2.0)\n  pytorch " in ended.err
        with (tmp_path / f"{way}.csv").open(encoding="utf-8", newline="") as file:
            (rows[way],) = csv.DictReader(file)
    same = [name for name in rows["with"] if name.startswith("map_") and name != "map_made_by"]
    assert {"map_area", "map_region", "map_finding", "map_tiles"} <= set(same)
    for name in same:
        values = rows["without"][name], rows["with"][name]
        if name in ("map_maximum", "map_p99"):
            assert abs(float(values[0]) - float(values[1])) <= BOUND
        elif name == "map_contrast":  # log-odds; a cell may be within rounding of a part
            assert abs(float(values[0]) - float(values[1])) <= 1e-2
        else:
            assert values[0] == values[1], name
    files = [next((tmp_path / way).glob("*.map.png")) for way in rows]
    maps = [np.asarray(Image.open(file)).astype(np.int16) for file in files]
    assert maps[0].min() < maps[0].max()
    assert np.abs(maps[0] - maps[1]).max() <= 1  # of 255: rounding


def test_what_is_said_of_the_localizer_is_the_same(installed: Path) -> None:
    assert installed.exists()
    graph = open_localizer(NAME)
    assert isinstance(graph, OnnxCpuLocalizer)
    assert graph.info == load_localizer(NAME).info
    assert set(graph.info.files) == {NAME, ENCODER}


def test_maps_areas_and_regions_are_those_of_pytorch() -> None:
    """With random weights, which give maps of every probability; both protocols."""
    from sidscan.exporters.network import FeatureReader, MapNetwork
    from sidscan.exporters.templates import random_network

    entry = CATALOG[NAME]
    network, weights = random_network(entry, seed=8)
    assert isinstance(network, MapNetwork)
    (reader,), (decoder,) = network.encoders, network.heads
    assert isinstance(reader, FeatureReader)
    assert isinstance(decoder, Decoder)
    info = LocalizerInfo(NAME, "", {}, {}, "", TileSpec(224, 224, 112), 0.5, None, {})
    template = template_of(entry)
    assert template is not None
    graph = OnnxCpuLocalizer(GraphLocalizer(info, with_weights(template.read_bytes(), weights)))
    loaded = LoadedLocalizer(info, LocalizerNetwork((reader.encoder,), decoder), fp16_safe=True)
    torch = PyTorchLocalizer(loaded, "cpu", "fp32")
    pixels = np.concatenate(list(natural_crops(2)), axis=1)[:, :400]
    plan = plan_of(400, 224, info.tile, "auto", 120)
    assert plan.compares
    (facts, measured), (expected, theirs) = (
        make_map(pixels, TileReader(localizer, localizer.batch), plan, lambda _: None)
        for localizer in (graph, torch)
    )
    assert theirs.levels.std() > 25
    assert np.abs(measured.levels.astype(np.int16) - theirs.levels).max() <= 1  # of 255: rounding
    assert abs(measured.maximum - theirs.maximum) <= BOUND
    assert 0.01 < theirs.area < 0.99
    assert facts.region == expected.region
    assert abs(measured.area - theirs.area) <= 1e-4  # pixels within rounding of the threshold


def test_a_graph_that_onnxruntime_refuses(installed: Path) -> None:
    assert installed.exists()
    loaded = replace(load_localizer_graph(NAME), graph=WeightedGraph(b"\x08\x01", {}, ""))
    with pytest.raises(ModelError, match="can't load the graph of localizer-b16"):
        OnnxCpuLocalizer(loaded)


def test_models_without_a_map_or_an_encoder_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators, "may_be_there", lambda: False)
    with pytest.raises(ModelNotInstalled, match="clip-vit-b16"):
        open_localizer(NAME)
    with pytest.raises(ModelError, match="mini is not a localizer: its kind is detector"):
        open_localizer("mini")
    with pytest.raises(ModelError, match="clip-vit-b16 is not a localizer: its kind is encoder"):
        open_localizer(ENCODER)


def test_what_needs_pytorch_names_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(RuntimeUnavailable) as refused:
        open_localizer(NAME, runtime="pytorch")
    assert refused.value.message.startswith("computing localizer-b16 by PyTorch needs torch, which")
    assert refused.value.remedy.endswith("Or localize without PyTorch: `--runtime onnx`.")
    with pytest.raises(RuntimeUnavailable) as refused:
        open_localizer("declip-ldm")
    assert "without PyTorch" not in refused.value.remedy
    with pytest.raises(UnknownModel):
        open_localizer("nothing")
