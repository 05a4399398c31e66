"""Installing weights without a published digest: the first file is pinned, and terms must be accepted."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.torch import save_file
from sample_localizers import CLIP, published_file
from tiny_networks import random_clip

from sidscan.errors import DigestMismatch, ModelError, UsageError
from sidscan.models.catalog import CATALOG, CatalogEntry
from sidscan.models.installed import FIRST_INSTALLED
from sidscan.models.localizers import load_localizer
from sidscan.models.origins import Pin, Published, Unpinned
from sidscan.models.shapes import DeclipShape, EncoderShape
from sidscan.models.store import Store
from sidscan.runtimes.localizers import open_localizer

SHAPE = DeclipShape("CLIP:ViT-L/14", 1, "linear", 64)
FILE = "ViT_layer1_linear+x.pth"
LINEAR = "a linear decoder of DeCLIP on layer1"


class World(NamedTuple):
    """A catalog of a localizer and its encoder, a server that offers both, and an empty store."""

    folder: Path
    store: Store
    asked: list[str]
    sidscan: Callable[..., Any]

    @property
    def published(self) -> Path:
        return self.folder / "served" / FILE

    @property
    def target(self) -> Path:
        return self.store.root / "map" / "map.safetensors"


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, asked: list[str], **options: Any) -> None:
        self._asked = asked
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        self._asked.append(self.path)
        super().do_GET()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sidscan: Callable[..., Any]) -> Iterator[World]:
    served, asked = tmp_path / "served", list[str]()
    served.mkdir()
    published_file(served / FILE, SHAPE)
    tensors = {f"visual.{name}": tensor for name, tensor in random_clip(**CLIP).items()}
    save_file(tensors, served / "clip.safetensors")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path / "models"))
    handler = partial(_Handler, directory=str(served), asked=asked)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    encoder = Published(f"{url}/clip.safetensors", Pin("sha256", _sha256(served / "clip.safetensors")))
    entries = (
        replace(
            CATALOG["declip-ldm"],
            name="map",
            origin=Unpinned(
                url=f"{url}/{FILE.replace('+', '%2B')}",
                download_size=(served / FILE).stat().st_size,
                file="map.safetensors",
            ),
            size=5000,
            encoder="clip-vit-l14",
            shape=SHAPE,
        ),
        replace(
            CATALOG["clip-vit-l14"],
            origin=encoder,
            size=(served / "clip.safetensors").stat().st_size,
            shape=EncoderShape(2, 64, 14, 257, 8),
        ),
    )
    catalog = {entry.name: entry for entry in entries}
    monkeypatch.setattr("sidscan.models.store.CATALOG", catalog)
    yield World(tmp_path, Store(), asked, sidscan)
    server.shutdown()
    server.server_close()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _accepted(_: CatalogEntry) -> bool:
    return True


def test_pull_says_what_comes_and_pins_it(world: World) -> None:
    digest = _sha256(world.published)
    done = world.sidscan("models", "pull", "map", "--accept-licence")
    assert done.code == 0, done.err
    assert "CC BY-NC-SA 4.0" in done.err
    assert "DeCLIP's authors publish their code under CC BY-NC-SA 4.0, which forbids" in done.err
    assert f"map: pulled, {world.target.stat().st_size / 1e3:.1f} kB; no digest is published" in done.err
    assert f"this one is pinned: sha256 {digest}" in done.err
    record = json.loads((world.target.parent / "record.json").read_text())
    assert record == {
        "name": "map",
        "file": "map.safetensors",
        "bytes": world.target.stat().st_size,
        "sha256": _sha256(world.target),
        "verified_by": FIRST_INSTALLED,
        "origin": record["origin"],
        "source_sha256": digest,
        "terms_accepted": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    }
    assert sorted(path.name for path in world.target.parent.iterdir()) == [
        ".lock",
        "map.safetensors",
        "record.json",
    ], "neither the published file nor the state of its optimiser stays"


def test_a_localizer_that_was_pulled_makes_maps(world: World) -> None:
    assert world.sidscan("models", "pull", "map", "--accept-licence").code == 0
    info = load_localizer("map", world.store).info
    assert info.name == "map"
    assert list(info.files) == ["map", "clip-vit-l14"]
    assert info.provenance == {"map": FIRST_INSTALLED, "clip-vit-l14": "published sha256"}
    assert info.licence == "CC BY-NC-SA 4.0"
    assert info.card["published_sha256"] == _sha256(world.published)
    tiles = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    assert open_localizer("map", world.store, device="cpu").maps(tiles).shape == (2, 256, 256)


@pytest.mark.parametrize(
    ("file", "name", "more"),
    [(FILE, "map", ""), ("renamed.pth", "NAME", ", where NAME is one of map")],
    ids=["as published", "renamed"],
)
def test_a_published_file_is_named_as_a_model(world: World, file: str, name: str, more: str) -> None:
    """Its terms must be accepted first, so the error has the command that asks."""
    path = world.folder / file
    path.write_bytes(world.published.read_bytes())
    with pytest.raises(ModelError) as refused:
        load_localizer(path, world.store)
    holds = f"{path} holds {LINEAR} as its authors publish it"
    assert refused.value.message == f"{holds}, and has to be imported first"
    assert refused.value.remedy == f"`sidscan models import {path} --as {name}`, then `--model {name}`{more}."


def test_nothing_is_fetched_before_the_terms_are_accepted(world: World) -> None:
    done = world.sidscan("models", "pull", "map")
    assert done.code == 2
    assert done.err.endswith(
        "sidscan: map comes under CC BY-NC-SA 4.0, which nobody accepted\n"
        "Read https://creativecommons.org/licenses/by-nc-sa/4.0/. If your use is within it, repeat the "
        "command with --accept-licence.\n"
    )
    assert world.asked == []
    with pytest.raises(UsageError, match="which nobody accepted"):
        world.store.pull("map")
    with pytest.raises(UsageError, match="which nobody accepted"):
        world.store.import_file(world.published, "map")


def test_a_second_pull_asks_nobody(world: World) -> None:
    world.store.pull("map", accepts=_accepted)
    asked = len(world.asked)
    assert not world.store.pull("map").fetched
    assert len(world.asked) == asked


def test_the_same_file_gives_the_same_bytes(world: World) -> None:
    pulled = world.store.pull("map", accepts=_accepted).installed
    imported = world.store.import_file(world.published, "map", accepts=_accepted)
    assert (imported.sha256, imported.source_sha256) == (pulled.sha256, pulled.source_sha256)


@pytest.mark.parametrize("way", ["pull", "import"])
def test_another_file_is_refused_unless_somebody_asks_for_it(world: World, way: str) -> None:
    first = world.store.import_file(world.published, "map", accepts=_accepted)
    published_file(world.published, SHAPE, seed=1)
    other = _sha256(world.published)
    world.target.unlink()  # so that a pull fetches it
    command = {
        "pull": ("pull", "map"),
        "import": ("import", str(world.published), "--as", "map"),
    }[way]
    done = world.sidscan("models", *command, "--accept-licence")
    assert done.code == 4
    assert (
        f"is not the map that was installed first: sha256 {other}, expected {first.source_sha256}\n"
        "If its authors replaced it, and you trust this file, repeat the command with --replace.\n"
    ) in done.err
    assert not world.target.exists()
    assert world.sidscan("models", *command, "--accept-licence", "--replace").code == 0
    installed = world.store.require("map")
    assert installed.source_sha256 == other
    assert installed.sha256 != first.sha256


def test_changed_bytes_are_never_used(world: World) -> None:
    world.store.import_file(world.published, "map", accepts=_accepted)
    assert world.sidscan("models", "verify").code == 0
    world.target.write_bytes(world.target.read_bytes()[:-1] + b"x")
    with pytest.raises(DigestMismatch, match="has changed since it was installed"):
        world.store.require("map")
    assert world.store.pull("map", accepts=_accepted).fetched, "as the error says"
    world.store.require("map")


def test_a_file_of_unknown_name_needs_its_model(world: World) -> None:
    done = world.sidscan("models", "import", str(world.published), "--accept-licence")
    assert done.code == 4
    assert done.err == (
        f"sidscan: {FILE} matches no published digest; it holds a linear decoder of DeCLIP on layer1\n"
        "No digest of these is published. Say which one it is: `sidscan models import FILE --as NAME`, "
        "with map.\n"
    )


def test_a_folder_of_models_is_taken_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was pulled on a machine with a network is imported on one without."""
    first = world.store.pull("map", accepts=_accepted).installed
    world.store.pull("clip-vit-l14")
    carried = world.store.root
    monkeypatch.setenv("SIDSCAN_MODELS", str(world.folder / "offline"))
    asked = len(world.asked)
    done = world.sidscan("models", "import", str(carried), "--accept-licence")
    assert done.code == 0, done.err
    installed = Store().require("map")
    assert (installed.sha256, installed.source_sha256) == (first.sha256, first.source_sha256)
    assert len(world.asked) == asked
    load_localizer("map")


def test_a_checkpoint_with_other_tensors_is_refused(world: World) -> None:
    from sidscan.models.localizer_checkpoints import read_localizer_checkpoint

    world.store.pull("map", accepts=_accepted)
    checkpoint, _ = read_localizer_checkpoint(world.target)
    other = world.folder / "other.safetensors"
    tensors = {name: tensor for name, tensor in checkpoint.tensors.items() if name != "fc.0.bias"}
    other.write_bytes(replace(checkpoint, tensors=tensors).to_bytes())
    with pytest.raises(ModelError, match=r"fc\.0\.bias missing"):
        world.store.import_file(other, accepts=_accepted)
    other.write_bytes(replace(checkpoint, facts={"model": "map", "published_sha256": "x"}).to_bytes())
    with pytest.raises(ModelError, match="does not say what it was made of"):
        world.store.import_file(other, accepts=_accepted)


def test_what_is_shown(world: World) -> None:
    shown = world.sidscan("models", "show", "map").out
    assert "none is published: the first file that is installed will be pinned" in shown
    assert "https://creativecommons.org/licenses/by-nc-sa/4.0/, to be accepted" in shown
    world.store.pull("map", accepts=_accepted)
    digest = _sha256(world.published)
    shown = world.sidscan("models", "show", "map").out
    assert f"sha256 {digest} of the first file installed; none is published" in shown
    (known,) = [
        row for row in json.loads(world.sidscan("models", "list", "--json").out) if row["name"] == "map"
    ]
    assert (known["pin"], known["published_sha256"]) == (None, digest)
    assert (known["kind"], known["needs"]) == ("localizer", "clip-vit-l14")


@pytest.mark.parametrize(
    "record", ["{}", '{"verified_by": "published sha256"}'], ids=["empty", "another word"]
)
def test_a_damaged_record(world: World, record: str) -> None:
    world.store.pull("map", accepts=_accepted)
    path = world.target.parent / "record.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, **json.loads(record)}) if record != "{}" else record)
    with pytest.raises(ModelError):
        world.store.installed("map")
    assert world.store.pull("map", accepts=_accepted).fetched


def test_a_scan_says_what_a_localizer_is_for(world: World) -> None:
    done = world.sidscan("scan", str(world.folder), "--model", "map")
    assert done.code == 4
    assert done.err.startswith(
        "sidscan: map is a localizer, which makes maps and gives no scores\n"
        "`sidscan localize --model map` makes maps with it; a scan needs a detector: "
    )
